"""Train a config: python tools/train.py CONFIG [options]."""

from __future__ import annotations

import argparse

import mmaddp  # noqa: F401
from mmaddp.apis.runs import train
from mmaddp.engine.setup import (
    add_config_arguments,
    add_run_arguments,
    load_config,
    prepare_run,
    set_amp,
    set_auto_scale_lr,
    set_seed,
)
from mmaddp.utils import run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a config of any task.')
    add_config_arguments(parser)
    add_run_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, or from the newest whole one of the work folder',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=['auto', 'bf16', 'fp16', 'off'],
        help='mixed precision: bf16 where the GPU has it, or as said; off leaves it out',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the images of one optimizer step',
    )
    parser.add_argument('--seed', type=int, help='seed of all randomness')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Train."""
    args = parse_arguments(arguments)
    config = prepare_run(load_config(args.config, args.cfg_options), args)
    if args.amp:
        set_amp(config, args.amp)
    if args.auto_scale_lr:
        set_auto_scale_lr(config)
    if args.seed is not None:
        set_seed(config, args.seed)
    train(config, args.resume)


if __name__ == '__main__':
    run_tool(main)
