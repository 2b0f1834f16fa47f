"""Compare encoders with the same probe, classifier, detector and segmentor.

    python tools/compare.py configs/compare/small.py --work-dir work_dirs/compare

Runs only what is missing. To share the trainings, start the same command several times, with one
GPU each (CUDA_VISIBLE_DEVICES). With --gpus, each training uses several GPUs. With --slurm, each
training is a task of a Slurm job array.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmengine.config import Config

from mmaddp.engine.arguments import add_slurm_argument
from mmaddp.utils import UserError, run_tool


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('spec', help='a comparison file, such as those of configs/compare')
    parser.add_argument('--work-dir', required=True, help='folder of the trainings and the page')
    parser.add_argument(
        '--tasks', nargs='+', metavar='NAME', help='tasks (default: all of the file)'
    )
    parser.add_argument(
        '--methods', nargs='+', metavar='NAME', help='methods (default: all of the file)'
    )
    parser.add_argument(
        '--seeds', nargs='+', type=int, metavar='N', help='seeds (default: all of the file)'
    )
    parser.add_argument('--gpus', type=int, default=1, help='GPUs per training (%(default)s)')
    add_slurm_argument(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and write the page."""
    args = parse_arguments(arguments)
    from mmaddp.experiments.comparison import compare, read_comparison
    from mmaddp.experiments.comparison_page import write_plot, write_tables
    from mmaddp.experiments.job_arrays import compare_in_arrays
    from mmaddp.experiments.report_card import write_card
    from mmaddp.experiments.results import ResultsFolder

    comparison = read_comparison(args.spec)
    jobs = comparison.choose(args.tasks, args.methods, args.seeds)
    train = partial(train_distributed, processes=args.gpus) if args.gpus > 1 else None
    folder = ResultsFolder(args.work_dir)
    # More GPUs make larger batches, which rows of one table must share.
    folder.agree({'GPUs per training': args.gpus}, replace=not folder.results)
    report = partial(write_tables, comparison)
    if args.slurm is None:
        folder = compare(comparison, args.work_dir, jobs, report, train)
    else:
        folder = compare_in_arrays(args.spec, args.work_dir, jobs, report, args.slurm, train)
    write_plot(comparison, folder)
    print(write_card(comparison, folder))


def train_distributed(config: Config, processes: int) -> dict[str, float]:
    """Train a config by several processes, and return the metrics of the last validation.

    Raises:
        CalledProcessError: The training failed.
    """
    from mmaddp.experiments.comparison import probe_metrics
    from mmaddp.experiments.probing import RANDOM, is_probe

    folder = Path(config.work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'config.py'
    config.dump(path)
    tool, checkpoint = 'train', []
    if is_probe(config):
        tool, checkpoint = 'probe', [config.model.checkpoint or RANDOM]
    launcher = str(Path(__file__).with_name('dist_run.py'))
    command = [sys.executable, launcher, tool, str(path), str(processes), *checkpoint]
    subprocess.run([*command, '--work-dir', str(folder), '--resume'], check=True)
    return probe_metrics(config) if is_probe(config) else last_validation(folder)


def last_validation(folder: Path) -> dict[str, float]:
    """The metrics of the last validation in a training's log."""
    from mmaddp.experiments.logs import read_scalars

    records = [record for record in read_scalars(folder) if 'loss' not in record]
    if not records:
        raise UserError(f'{folder}: no validation was run; lower train_cfg.val_interval')
    return {
        name: float(value)
        for name, value in records[-1].items()
        if name not in ('step', 'time', 'data_time')
    }


if __name__ == '__main__':
    run_tool(main)
