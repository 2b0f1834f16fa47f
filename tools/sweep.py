"""Train and validate a config in every cell of a grid of its options; go on if killed.

    python tools/sweep.py GRID_FILE.py --work-dir work_dirs/sweep
    python tools/sweep.py CONFIG --grid optim_wrapper.optimizer.lr=1e-3,1e-2 --work-dir …

Several processes of the same command share the cells, one GPU each by CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

from mmengine.config import DictAction

import mmaddp  # noqa: F401
from mmaddp.experiments.grid import RULES, read_sweep
from mmaddp.experiments.sweep import Recipe, sweep
from mmaddp.utils import run_tool


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a grid file of configs/grids, or a config with --grid')
    parser.add_argument(
        '--grid',
        nargs='+',
        default=[],
        metavar='NAME=V1,V2',
        help='values of config options, or further grid files',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='settings of all cells',
    )
    parser.add_argument('--work-dir', required=True, help='results, cells and best.py')
    parser.add_argument('--metric', help="what ranks the cells (the file's, accuracy/top1)")
    parser.add_argument('--rule', choices=RULES, help="which is better (the file's, greater)")
    parser.add_argument(
        '--amp', choices=['auto', 'bf16', 'fp16', 'off'], help='as for tools/train.py'
    )
    parser.add_argument('--seed', type=int, help="of every cell (the config's, or 0)")
    parser.add_argument(
        '--keep-checkpoints',
        action='store_true',
        help='keep those of cells that have ended; otherwise only logs and results stay',
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is left of the sweep, and write its table and its best config."""
    args = parse_arguments(arguments)
    config, grid = read_sweep(args.config, args.grid)
    given = {key: getattr(args, key) for key in ('metric', 'rule') if getattr(args, key)}
    recipe = Recipe(config, args.cfg_options, args.amp, args.seed)
    sweep(recipe, dataclasses.replace(grid, **given), args.work_dir, args.keep_checkpoints)


if __name__ == '__main__':
    run_tool(main)
