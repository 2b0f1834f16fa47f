"""Export a model: python tools/export.py CONFIG CHECKPOINT --out FILE [--format torch]."""

from __future__ import annotations

import argparse

from mmaddp.engine.arguments import add_config_arguments
from mmaddp.utils import run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write a detector, segmentor or classifier as one file that runs without this '
        'package. Compare it with the checkpoint by tools/test.py CONFIG FILE.',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='the weights: a training checkpoint or a published file')
    parser.add_argument('--out', required=True, metavar='FILE', help='.onnx, or .pt2 for torch')
    parser.add_argument(
        '--format', choices=['onnx', 'torch'], default='onnx', help='default: %(default)s'
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help="size of the images; default: that of the config's test",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Export."""
    args = parse_arguments(arguments)
    from mmaddp.apis import export, load_config

    config = load_config(args.config, args.cfg_options, args.variant)
    size = tuple(args.size) if args.size else None
    path = export(config, args.checkpoint, args.out, args.format, size)
    print(f'exported: {path}')


if __name__ == '__main__':
    run_tool(main)
