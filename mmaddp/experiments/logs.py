"""Logs of trainings: curves over steps, and accuracies over noise levels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mmaddp.checkpoints import map_checkpoint
from mmaddp.engine.runs import METRICS_FILE
from mmaddp.utils import UserError, check_choice

from .figures import new_figure, plot_lines
from .results import read_json

Records = list[dict]
Accuracies = dict[int, float]
LEVEL_PREFIX = 'accuracy/level_'


def by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Work folders by name, or by path where names coincide."""
    names = [folder.name for folder in folders]
    return {
        name if name and names.count(name) == 1 else str(folder): folder
        for name, folder in zip(names, folders)
    }


def read_scalars(work_dir: Path) -> Records:
    """The records of a training by step. A resumed run replaces the steps that it repeats.

    Raises:
        UserError: The folder holds no log of MMEngine.
    """
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        raise UserError(
            f'{work_dir} holds no */vis_data/scalars.json: give the --work-dir of a run'
        )
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    # Tests log to the same folder, at step 0.
    steps = (record for record in records if record.get('step', 0) > 0)
    latest = {(record['step'], 'loss' in record): record for record in steps}
    return [latest[key] for key in sorted(latest)]


def plot_curves(curves: Mapping[str, Records], keys: Sequence[str]) -> Figure:
    """A plot per key with a line per training.

    Args:
        curves: The records of each training, by label.
        keys: Logged names.

    Raises:
        UserError: No training has logged one of ``keys``.
    """
    logged = sorted({name for records in curves.values() for record in records for name in record})
    figure, axes = new_figure(len(keys))
    for axis, key in zip(axes, keys):
        check_choice('--keys', key, logged)
        lines = {
            label: [(record['step'], record[key]) for record in records if key in record]
            for label, records in curves.items()
        }
        plot_lines(axis, {label: points for label, points in lines.items() if points})
        axis.set(xlabel='step', title=key)
    return figure


def read_accuracies(work_dir: Path) -> Accuracies:
    """Accuracy in percent by noise level, from tools/test.py or else the last validation.

    Args:
        work_dir: The work folder of a :class:`mmaddp.NoiseConditionalClassifier`.

    Raises:
        UserError: The folder holds neither.
    """
    tested = work_dir / METRICS_FILE
    records = [read_json(tested)] if tested.is_file() else read_scalars(work_dir)
    for record in reversed(records):
        levels = [key for key in record if key.startswith(LEVEL_PREFIX)]
        if levels:
            return {int(key[len(LEVEL_PREFIX) :]): record[key] for key in levels}
    raise UserError(
        f'{work_dir} has no {LEVEL_PREFIX}*: validate or test a noise-conditional classifier with '
        'mmaddp.NamedAccuracy'
    )


def iterations_of(checkpoint: str | Path) -> int | None:
    """The training iteration at which a checkpoint was written, if recorded."""
    meta = map_checkpoint(checkpoint).get('meta')
    return meta.get('iter') if isinstance(meta, dict) else None


def plot_accuracies(runs: Mapping[str, Accuracies]) -> Figure:
    """A line per run; runs of the same noise levels share a plot.

    Args:
        runs: Results of :func:`read_accuracies`, by label.
    """
    panels: dict[tuple[int, ...], dict[str, Accuracies]] = {}
    for name, accuracies in runs.items():
        panels.setdefault(tuple(sorted(accuracies)), {})[name] = accuracies
    figure, axes = new_figure(len(panels))
    for axis, members in zip(axes, panels.values()):
        plot_lines(axis, {name: sorted(accuracies.items()) for name, accuracies in members.items()})
        axis.set(xlabel='noise level', ylabel='top-1 accuracy (%)')
    return figure
