"""Measure speed and memory of a config: python tools/analysis_tools/benchmark.py CONFIG."""

from __future__ import annotations

import argparse
import json

from mmaddp.engine.arguments import add_config_arguments
from mmaddp.utils import run_tool, write_text


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Images per second and peak memory of the training step (forward, backward, '
        'optimizer) and of inference, on synthetic batches, warm-up excluded.'
    )
    add_config_arguments(parser)
    parser.add_argument('--batch-size', type=int, default=2, help='images per batch')
    parser.add_argument(
        '--img-size',
        type=int,
        nargs='+',
        metavar='N',
        help="height and width, or one number for both (the backbone's img_size)",
    )
    parser.add_argument('--iters', type=int, default=10, help='measured steps')
    parser.add_argument('--warmup', type=int, default=3, help='warm-up steps')
    parser.add_argument(
        '--device', choices=['cpu', 'cuda'], help='default: the GPU if there is one'
    )
    parser.add_argument('--amp', choices=['auto', 'bf16', 'fp16', 'off'], help='mixed precision')
    parser.add_argument('--out', help='also write the figures to this JSON file')
    args = parser.parse_args(arguments)
    if args.img_size and len(args.img_size) > 2:
        parser.error('--img-size takes one number or two')
    return args


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_arguments(arguments)
    from mmaddp.engine.runs import clear_errors, load_config, set_amp
    from mmaddp.experiments.speed import benchmark

    config = load_config(args.config, args.cfg_options, args.variant)
    if args.amp:
        set_amp(config, args.amp)
    size = (args.img_size[0], args.img_size[-1]) if args.img_size else None
    with clear_errors():
        figures = benchmark(config, args.batch_size, size, args.iters, args.warmup, args.device)
    figures = {'config': args.config, **figures}
    text = json.dumps(figures, indent=2)
    print(text)
    if args.out:
        write_text(args.out, text + '\n')


if __name__ == '__main__':
    run_tool(main)
