"""Figure 3 of DARL: pre-train and evaluate with each noise schedule; resume if interrupted.

    python tools/analysis_tools/noise_schedule_study.py PRETRAINING_CONFIG EVALUATION_CONFIG \
        --work-dir work_dirs/noise_study

To share the cells, start the same command several times, with one GPU each
(CUDA_VISIBLE_DEVICES).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmaddp.engine.arguments import OptionsAction
from mmaddp.experiments.grid import RULES
from mmaddp.utils import run_tool

VALUES = (0.1, 0.3, 1.0, 3.0, 10.0)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('pretraining', help='config of a DARL pre-training with model.noise')
    parser.add_argument('evaluation', help='config of a classifier with the same backbone')
    for name in 'ab':
        parser.add_argument(
            f'--{name}', nargs='+', type=float, default=VALUES, help=f'values of {name}'
        )
    for stage in ('pretraining', 'evaluation'):
        parser.add_argument(
            f'--{stage}-options',
            nargs='+',
            action=OptionsAction,
            default={},
            metavar='KEY=VALUE',
            help=f'options of the {stage} config',
        )
    parser.add_argument(
        '--work-dir', required=True, help='folder of the results, the cells and the heat map'
    )
    parser.add_argument(
        '--metric', default='accuracy/top1', help='metric that ranks the cells (%(default)s)'
    )
    parser.add_argument(
        '--rule', choices=RULES, default='greater', help='which values are better (%(default)s)'
    )
    parser.add_argument(
        '--amp', choices=['auto', 'bf16', 'fp16', 'off'], help='as for tools/train.py'
    )
    parser.add_argument(
        '--seed', type=int, help="seed of every training (default: the config's, or 0)"
    )
    parser.add_argument(
        '--keep-checkpoints', action='store_true', help='keep the checkpoints of finished cells'
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the remaining cells, write the table and plot the heat map."""
    args = parse_arguments(arguments)
    from mmaddp.experiments.noise_study import noise_grid, study_noise_schedules
    from mmaddp.experiments.sweep import Recipe

    pretraining, evaluation = (
        Recipe(getattr(args, stage), getattr(args, f'{stage}_options'), args.amp, args.seed)
        for stage in ('pretraining', 'evaluation')
    )
    grid = noise_grid(args.a, args.b, args.metric, args.rule)
    study_noise_schedules(pretraining, evaluation, grid, args.work_dir, args.keep_checkpoints)


if __name__ == '__main__':
    run_tool(main)
