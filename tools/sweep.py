"""Train and validate a config in every cell of a grid of its options; go on if killed.

    python tools/sweep.py CONFIG --grid optim_wrapper.optimizer.lr=1e-3,1e-2 FILE.py \
        --work-dir work_dirs/sweep

Several processes of the same command share the cells, one GPU each by CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

import mmaddp  # noqa: F401
from mmaddp.engine.setup import add_config_arguments
from mmaddp.experiments.sweep import Recipe, sweep
from mmaddp.experiments.sweep_grid import RULES, read_grid
from mmaddp.utils import run_tool


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_config_arguments(parser)
    parser.add_argument(
        '--grid',
        nargs='+',
        required=True,
        metavar='NAME=V1,V2',
        help='the values of config options, or .py files with a grid',
    )
    parser.add_argument('--work-dir', required=True, help='results, cells and best.py')
    parser.add_argument('--metric', help="what cells are compared by (the file's, accuracy/top1)")
    parser.add_argument('--rule', choices=RULES, help="which is better (the file's, greater)")
    parser.add_argument(
        '--amp', choices=['auto', 'bf16', 'fp16', 'off'], help='as for tools/train.py'
    )
    parser.add_argument('--seed', type=int, help="of every cell (the config's, or 0)")
    parser.add_argument(
        '--keep-checkpoints',
        action='store_true',
        help='keep those of cells that have ended; without, only logs and results stay',
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is left of the sweep, and write its table and its best config."""
    args = parse_arguments(arguments)
    grid = read_grid(args.grid)
    given = {key: getattr(args, key) for key in ('metric', 'rule') if getattr(args, key)}
    recipe = Recipe(args.config, args.cfg_options, args.amp, args.seed)
    sweep(recipe, dataclasses.replace(grid, **given), args.work_dir, args.keep_checkpoints)


if __name__ == '__main__':
    run_tool(main)
