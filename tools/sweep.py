"""Train and validate a config for every cell of a grid of options; resume if interrupted.

    python tools/sweep.py GRID_FILE.py --work-dir work_dirs/sweep
    python tools/sweep.py CONFIG --grid optim_wrapper.optimizer.lr=1e-3,1e-2 --work-dir …

To share the cells, start the same command several times, with one GPU each
(CUDA_VISIBLE_DEVICES). With --slurm, each cell is a task of a Slurm job array.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from functools import partial

from mmaddp.engine.arguments import OptionsAction, add_slurm_argument
from mmaddp.experiments.grid import RULES, read_sweep
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
        help='values of config options, or more grid files',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help='options of all cells',
    )
    parser.add_argument(
        '--work-dir', required=True, help='folder of the results, the cells and best.py'
    )
    parser.add_argument(
        '--metric', help="metric that ranks the cells (default: the grid file's, or accuracy/top1)"
    )
    parser.add_argument(
        '--rule',
        choices=RULES,
        help="which values are better (default: the grid file's, or greater)",
    )
    parser.add_argument(
        '--amp', choices=['auto', 'bf16', 'fp16', 'off'], help='as for tools/train.py'
    )
    parser.add_argument('--seed', type=int, help="seed of every cell (default: the config's, or 0)")
    parser.add_argument(
        '--keep-checkpoints',
        action='store_true',
        help='keep the checkpoints of finished cells; by default only logs and results stay',
    )
    add_slurm_argument(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the remaining cells, and write the table and the best config."""
    args = parse_arguments(arguments)
    from mmaddp.experiments.job_arrays import run_array
    from mmaddp.experiments.sweep import Recipe, sweep

    config, grid = read_sweep(args.config, args.grid)
    given = {key: getattr(args, key) for key in ('metric', 'rule') if getattr(args, key)}
    recipe = Recipe(config, args.cfg_options, args.amp, args.seed)
    array = None if args.slurm is None else partial(run_array, options=args.slurm)
    sweep(recipe, dataclasses.replace(grid, **given), args.work_dir, args.keep_checkpoints, array)


if __name__ == '__main__':
    run_tool(main)
