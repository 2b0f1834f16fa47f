"""DARL's noise-schedule study (figure 3): a pre-training and an evaluation per cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmaddp.engine.resumption import find_newest
from mmaddp.utils import UserError, check_range

from .figures import plot_heat_map, save_figure
from .grid import Cell, Grid, make_axis
from .probing import set_encoder
from .sweep import (
    Metrics,
    Recipe,
    SweepFolder,
    remove_checkpoints,
    run_stage,
    sweep_cells,
    write_best,
)

A, B = 'model.noise.a', 'model.noise.b'


def noise_grid(
    a_values: Sequence[float], b_values: Sequence[float], metric: str, rule: str
) -> Grid:
    """Every pair of the Beta distribution's parameters.

    Args:
        a_values: Values of a; the paper takes 0.1 to 10, spaced logarithmically.
        b_values: Values of b.
        metric: A validation metric of the evaluation.
        rule: Whether a 'greater' or a 'less' value is better.
    """
    for name, values in (('--a', a_values), ('--b', b_values)):
        check_range(name, min(values), 0, above=True)
    return Grid({A: make_axis(A, a_values), B: make_axis(B, b_values)}, metric, rule)


def study_noise_schedules(
    pretraining: Recipe,
    evaluation: Recipe,
    grid: Grid,
    work_dir: str | Path,
    keep_checkpoints: bool = False,
) -> None:
    """Pre-train and evaluate with each noise schedule; resumes after interruptions.

    A cell's folder holds ``pretrain`` and ``evaluate``, a classifier or probe on that encoder.
    ``heat_map.png`` is figure 3, ``best.py`` the pre-training with the best schedule.

    Args:
        pretraining: A config of :class:`mmaddp.DARL` with ``model.noise``.
        evaluation: A config of a classifier or probe with the same backbone. Its checkpoint is set
            here.
        grid: See :func:`noise_grid`.
        work_dir: See :class:`mmaddp.experiments.sweep.SweepFolder`.
        keep_checkpoints: Keep the checkpoints of finished cells.
    """
    if not pretraining.config('work_dir').model.get('noise'):
        raise UserError(
            f'{pretraining.path}: model.noise is not set, MSE has no noise schedule: take a config '
            'with the diffusion objective'
        )
    pretraining.check(grid)

    def run(cell: Cell, path: Path) -> Metrics:
        run_stage(pretraining.config(path / 'pretrain', cell.options))
        config = evaluation.config(path / 'evaluate')
        # The evaluation starts from what this cell has just pre-trained.
        set_encoder(config, find_newest(path / 'pretrain'))
        metrics = run_stage(config, keep_checkpoints)
        if not keep_checkpoints:
            remove_checkpoints(path / 'pretrain')
        return metrics

    identity = {'config': pretraining.identity(), 'evaluation': evaluation.identity()}
    folder = SweepFolder(work_dir, grid, identity)
    sweep_cells(folder, run)
    write_best(folder, pretraining)
    write_heat_map(folder)


def write_heat_map(folder: SweepFolder) -> None:
    """Plot the scores so far over a and b; colors change at every tenth percentile."""
    a_labels, b_labels = (list(folder.grid.axes[name]) for name in (A, B))
    # Rows are b, columns a, as in figure 3.
    scores = np.full((len(b_labels), len(a_labels)), np.nan)
    for cell in folder.cells:
        position = b_labels.index(cell.labels[B]), a_labels.index(cell.labels[A])
        scores[position] = folder.score(cell)  # None becomes NaN
    if not np.isfinite(scores).any():
        return
    figure = plot_heat_map(
        scores,
        a_labels,
        b_labels,
        title=folder.grid.metric,
        xlabel='a',
        ylabel='b',
        levels=percentile_levels(scores),
    )
    save_figure(figure, folder.path / 'heat_map.png')
    print(f'heat map: {folder.path / "heat_map.png"}')


def percentile_levels(scores: np.ndarray) -> np.ndarray:
    """The distinct 0th, 10th … 100th percentiles of the scores, ascending."""
    levels = np.unique(np.nanpercentile(scores, range(0, 101, 10)))
    # A color needs two bounds even if all scores are equal.
    return levels if len(levels) > 1 else np.linspace(levels[0] - 0.5, levels[0] + 0.5, 2)
