"""Merge adapters: python tools/model_converters/merge_lora.py CONFIG CHECKPOINT OUT."""

from __future__ import annotations

import argparse

from mmaddp.engine.arguments import add_config_arguments
from mmaddp.utils import run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Merge the low-rank adapters (LoRA) of a checkpoint into the weights of its '
        'encoder. The new file fits the same config without lora.',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='a checkpoint of a training with lora')
    parser.add_argument('out', help='the file to write')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Merge."""
    args = parse_arguments(arguments)
    from mmaddp.apis import load_config, merge

    config = load_config(args.config, args.cfg_options, args.variant)
    print(f'merged: {merge(config, args.checkpoint, args.out)}')


if __name__ == '__main__':
    run_tool(main)
