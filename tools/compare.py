"""Compare encoders: the same probe, classifier, detector and segmentor for all; go on if killed.

    python tools/compare.py configs/compare/small.py --work-dir work_dirs/compare

Runs what is missing. Several processes of the same command share the trainings, one GPU each by
CUDA_VISIBLE_DEVICES; with --gpus every training takes several.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmengine.config import Config

import mmaddp  # noqa: F401
from mmaddp.experiments.comparison import compare, probe_metrics, read_comparison
from mmaddp.experiments.comparison_page import PAGE, write_plot, write_tables
from mmaddp.experiments.logs import read_scalars
from mmaddp.experiments.probing import RANDOM, is_probe
from mmaddp.utils import UserError, run_tool


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('spec', help='what is compared, a file of configs/compare')
    parser.add_argument('--work-dir', required=True, help='trainings, and the page of their tables')
    parser.add_argument('--tasks', nargs='+', metavar='NAME', help="which tasks (the file's)")
    parser.add_argument('--methods', nargs='+', metavar='NAME', help="which methods (the file's)")
    parser.add_argument(
        '--seeds', nargs='+', type=int, metavar='N', help="which seeds (the file's)"
    )
    parser.add_argument('--gpus', type=int, default=1, help='processes of a training (1)')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and write the page."""
    args = parse_arguments(arguments)
    comparison = read_comparison(args.spec)
    jobs = comparison.choose(args.tasks, args.methods, args.seeds)
    train = partial(train_distributed, processes=args.gpus) if args.gpus > 1 else None
    folder = compare(comparison, args.work_dir, jobs, partial(write_tables, comparison), train)
    write_plot(comparison, folder)
    print(Path(args.work_dir) / PAGE)


def train_distributed(config: Config, processes: int) -> dict[str, float]:
    """Train a config by several processes, as tools/dist_train.sh does.

    Returns:
        The metrics of the last validation.

    Raises:
        UserError: The training failed; it has said why.
    """
    folder = Path(config.work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'config.py'
    config.dump(path)
    tool, words = 'train', []
    if is_probe(config):
        tool, words = 'probe', [config.model.checkpoint or RANDOM]
    launcher = str(Path(__file__).with_name('dist_run.py'))
    command = [sys.executable, launcher, tool, str(path), str(processes), *words]
    ended = subprocess.run([*command, '--work-dir', str(folder), '--resume'])
    if ended.returncode:
        raise UserError(f'{folder}: the training has failed, see above; run again to go on')
    return probe_metrics(config) if is_probe(config) else last_validation(folder)


def last_validation(folder: Path) -> dict[str, float]:
    """The last record of a training's log that is a validation's."""
    records = [record for record in read_scalars(folder) if 'loss' not in record]
    if not records:
        raise UserError(f'{folder}: nothing was validated; set train_cfg.val_interval lower')
    return {
        name: float(value)
        for name, value in records[-1].items()
        if name not in ('step', 'time', 'data_time')
    }


if __name__ == '__main__':
    run_tool(main)
