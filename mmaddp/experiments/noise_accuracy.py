"""Accuracy over noise levels of several classifiers: DDAE's figure 6."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mmaddp.engine.runs import METRICS_FILE
from mmaddp.utils import UserError

from .curves import read_scalars

Accuracies = dict[int, float]
PREFIX = 'accuracy/level_'


def read_accuracies(work_dir: Path) -> Accuracies:
    """What tools/test.py has measured, or else a training's last validation.

    Args:
        work_dir: The work folder of :class:`mmaddp.NoiseConditionalClassifier`.

    Returns:
        Percent by the number of the level.

    Raises:
        UserError: The folder holds neither, or none with these accuracies.
    """
    tested = work_dir / METRICS_FILE
    records = [json.loads(tested.read_text())] if tested.is_file() else read_scalars(work_dir)
    measured = [by_level(record) for record in records]
    if not any(measured):
        raise UserError(
            f'{work_dir} has no {PREFIX}*: validate or test a noise-conditional classifier with '
            'mmaddp.NamedAccuracy'
        )
    return [accuracies for accuracies in measured if accuracies][-1]


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
    panels: dict[tuple[int, ...], dict[str, Accuracies]] = {}
    for name, accuracies in runs.items():
        panels.setdefault(tuple(sorted(accuracies)), {})[name] = accuracies
    figure = Figure(figsize=(5 * len(panels), 3.5), layout='constrained')
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (levels, members) in zip(axes, panels.items()):
        for name, accuracies in members.items():
            axis.plot(levels, [accuracies[level] for level in levels], marker='o', ms=3, label=name)
        axis.set(xlabel='noise level', ylabel='top-1 accuracy (%)')
        axis.grid(alpha=0.3)
        axis.legend(fontsize='small')
    return figure
