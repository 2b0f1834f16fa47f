"""Accuracy over noise levels of several classifiers: DDAE's figure 6."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mmaddp.engine.runs import METRICS_FILE
from mmaddp.utils import UserError

from .curves import read_scalars
from .figures import new_figure, plot_lines

Accuracies = dict[int, float]
PREFIX = 'accuracy/level_'


def read_accuracies(work_dir: Path) -> Accuracies:
    """What tools/test.py has measured, or else a training's last validation.

    Args:
        work_dir: The work folder of :class:`mmaddp.NoiseConditionalClassifier`.

    Returns:
        Percent by the number of the level.

    Raises:
        UserError: The folder holds no such accuracies.
    """
    tested = work_dir / METRICS_FILE
    records = [json.loads(tested.read_text())] if tested.is_file() else read_scalars(work_dir)
    measured = [accuracies for accuracies in map(by_level, records) if accuracies]
    if not measured:
        raise UserError(
            f'{work_dir} has no {PREFIX}*: validate or test a noise-conditional classifier with '
            'mmaddp.NamedAccuracy'
        )
    return measured[-1]


def by_level(metrics: dict[str, Any]) -> Accuracies:
    """The metrics of levels among others."""
    return {
        int(key[len(PREFIX) :]): value for key, value in metrics.items() if key.startswith(PREFIX)
    }


def plot_accuracies(runs: dict[str, Accuracies]) -> Figure:
    """A line for each run, in a plot with those of the same levels.

    Args:
        runs: What :func:`read_accuracies` gives, by the name that the legend gives it.
    """
    panels: dict[tuple[int, ...], dict[str, list]] = {}
    for name, accuracies in runs.items():
        points = sorted(accuracies.items())
        panels.setdefault(tuple(level for level, _ in points), {})[name] = points
    figure, axes = new_figure(columns=len(panels))
    for axis, lines in zip(axes, panels.values()):
        plot_lines(axis, lines)
        axis.set(xlabel='noise level', ylabel='top-1 accuracy (%)')
    return figure
