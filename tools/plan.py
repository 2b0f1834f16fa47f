"""Plan a training without a GPU: python tools/plan.py CONFIG [options]."""

from __future__ import annotations

import argparse

from mmaddp.engine.arguments import add_config_arguments
from mmaddp.utils import check_range, run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Parameters, arithmetic and peak memory of a training step, and whether it '
        'fits a GPU. Reads no data and no weights.'
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--gpu',
        default='24GB',
        metavar='GPU',
        help='a name such as A100-80GB or H100, a size such as 24GB, or a JSON file (24GB)',
    )
    parser.add_argument('--gpus', type=int, default=1, metavar='N', help='GPUs of a machine (1)')
    parser.add_argument('--nodes', type=int, default=1, metavar='M', help='machines (1)')
    parser.add_argument('--images', type=int, metavar='N', help='images of an epoch')
    parser.add_argument('--amp', choices=['auto', 'bf16', 'fp16', 'off'], help='mixed precision')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Plan and print."""
    args = parse_arguments(arguments)
    from mmaddp.engine.planning import cheapest, describe, find_device, make_plan, remedy
    from mmaddp.engine.runs import clear_errors, load_config, set_amp

    for name in ('gpus', 'nodes', 'images'):
        if getattr(args, name) is not None:
            check_range(f'--{name}', getattr(args, name), 1)
    device = find_device(args.gpu)
    config = load_config(args.config, args.cfg_options, args.variant)
    if args.amp:
        set_amp(config, args.amp)
    with clear_errors():
        plan = make_plan(config, device, args.gpus * args.nodes, args.images)
        print(describe(plan), flush=True)
        if not plan.fits:
            print(remedy(cheapest(plan, config, args.images), config))


if __name__ == '__main__':
    run_tool(main)
