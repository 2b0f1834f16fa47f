"""What trainings have logged: curves over steps, and accuracies over noise levels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mmaddp.engine.runs import METRICS_FILE
from mmaddp.utils import UserError

from .figures import new_figure, plot_lines
from .results import read_json

Records = list[dict]
Accuracies = dict[int, float]
LEVEL_PREFIX = 'accuracy/level_'


def by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Work folders by name, or by path where several have one name."""
    names = [folder.name for folder in folders]
    return {
        name if name and names.count(name) == 1 else str(folder): folder
        for name, folder in zip(names, folders)
    }


def read_scalars(work_dir: Path) -> Records:
    """The records of a training, each step's last one where a resumed run repeats it.

    Raises:
        UserError: The folder holds no log of MMEngine.
    """
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        raise UserError(
            f'{work_dir} holds no */vis_data/scalars.json: give the --work-dir of a run'
        )
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    # Tests write to the same folder, at step 0.
    steps = (record for record in records if record.get('step', 0) > 0)
    latest = {(record['step'], 'loss' in record): record for record in steps}
    return [latest[key] for key in sorted(latest)]


def plot_curves(curves: Mapping[str, Records], keys: Sequence[str]) -> Figure:
    """One plot for each key, with one line for each training.

    Args:
        curves: The records of each training, by its label.
        keys: Logged names.

    Raises:
        UserError: No training has logged one of ``keys``.
    """
    figure, axes = new_figure(len(keys))
    for axis, key in zip(axes, keys):
        lines = {
            label: [(record['step'], record[key]) for record in records if key in record]
            for label, records in curves.items()
        }
        lines = {label: points for label, points in lines.items() if points}
        if not lines:
            known = sorted({name for records in curves.values() for r in records for name in r})
            raise UserError(f'--keys {key}: no run has logged it; there are {", ".join(known)}')
        plot_lines(axis, lines)
        axis.set(xlabel='step', title=key)
    return figure


def read_accuracies(work_dir: Path) -> Accuracies:
    """Accuracy in percent by noise level: tools/test.py's, or else the last validation's.

    Args:
        work_dir: The work folder of a :class:`mmaddp.NoiseConditionalClassifier`.

    Raises:
        UserError: The folder holds neither.
    """
    tested = work_dir / METRICS_FILE
    records = [read_json(tested)] if tested.is_file() else read_scalars(work_dir)
    measured = [
        {
            int(key[len(LEVEL_PREFIX) :]): value
            for key, value in record.items()
            if key.startswith(LEVEL_PREFIX)
        }
        for record in records
    ]
    if not any(measured):
        raise UserError(
            f'{work_dir} has no {LEVEL_PREFIX}*: validate or test a noise-conditional classifier '
            'with mmaddp.NamedAccuracy'
        )
    return [accuracies for accuracies in measured if accuracies][-1]


def plot_accuracies(runs: Mapping[str, Accuracies]) -> Figure:
    """One line for each run, in a plot with the runs of the same levels.

    Args:
        runs: What :func:`read_accuracies` gives, by label.
    """
    panels: dict[tuple[int, ...], dict[str, Accuracies]] = {}
    for name, accuracies in runs.items():
        panels.setdefault(tuple(sorted(accuracies)), {})[name] = accuracies
    figure, axes = new_figure(len(panels))
    for axis, members in zip(axes, panels.values()):
        plot_lines(axis, {name: sorted(accuracies.items()) for name, accuracies in members.items()})
        axis.set(xlabel='noise level', ylabel='top-1 accuracy (%)')
    return figure
