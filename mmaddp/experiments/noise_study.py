"""DARL's noise-schedule study: figure 3, a pre-training and an evaluation in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure

from mmaddp.engine.runner.resume import find_newest
from mmaddp.utils import UserError, atomic_write

from .sweep import Recipe, remove_checkpoints, run_cells, run_stage, write_best
from .sweep_grid import Cell, Grid, make_axis
from .sweep_results import SweepFolder

A, B = 'model.noise.a', 'model.noise.b'


def noise_grid(
    a_values: Sequence[float], b_values: Sequence[float], metric: str, rule: str
) -> Grid:
    """Every pair of the Beta distribution's parameters.

    Args:
        a_values: Values of a; the paper's lie between 0.1 and 10, spaced logarithmically.
        b_values: Values of b.
        metric: The validation metric of the evaluation.
        rule: Whether a 'greater' or a 'less' value of it is better.

    Raises:
        UserError: A value is not above 0, or there twice.
    """
    for value in (*a_values, *b_values):
        if value <= 0:
            raise UserError(f'a and b of the Beta distribution are above 0, not {value:g}')
    axes = {A: make_axis(A, list(a_values)), B: make_axis(B, list(b_values))}
    return Grid(axes, metric, rule)


def study_noise_schedules(
    pretraining: Recipe,
    evaluation: Recipe,
    grid: Grid,
    work_dir: str | Path,
    keep_checkpoints: bool = False,
) -> None:
    """Pre-train and evaluate with each noise schedule; goes on where it was killed.

    In a cell's folder ``pretrain`` holds the pre-training and ``evaluate`` the training of a
    classifier (fine-tuning or linear evaluation) from it. ``heat_map.png`` is figure 3,
    ``best.py`` the pre-training with the best schedule.

    Args:
        pretraining: A config of :class:`mmaddp.DARL` with ``model.noise``.
        evaluation: A config with the same backbone; its ``init_cfg`` is set here.
        grid: See :func:`noise_grid`.
        work_dir: Where everything goes, as for :func:`mmaddp.experiments.sweep.sweep`.
        keep_checkpoints: Keep the checkpoints of cells that have ended.

    Raises:
        UserError: Whatever is wrong with the configs or the folder.
    """
    if not pretraining.config('work_dir').model.get('noise'):
        raise UserError(
            f'{pretraining.path}: model.noise is not set: take a config with the diffusion '
            'objective, for MSE has no noise schedule'
        )
    pretraining.check_axes(grid)

    def run(cell: Cell, folder: Path) -> dict[str, float]:
        run_stage(pretraining.config(folder / 'pretrain', cell.options))
        config = evaluation.config(folder / 'evaluate')
        encoder = find_newest(folder / 'pretrain')
        config.model.backbone.init_cfg = {'type': 'Pretrained', 'checkpoint': encoder}
        metrics = run_stage(config, keep_checkpoints)
        if not keep_checkpoints:
            remove_checkpoints(folder / 'pretrain')
        return metrics

    folder = SweepFolder(work_dir, grid)
    folder.check_identity({'config': pretraining.identity(), 'evaluation': evaluation.identity()})
    run_cells(folder, run)
    write_best(folder, pretraining)
    write_heat_map(folder)


def write_heat_map(folder: SweepFolder) -> None:
    """Draw the scores so far to ``heat_map.png``; cells without one stay white."""
    a_labels, b_labels = (list(folder.grid.axes[name]) for name in (A, B))
    scores = np.full((len(b_labels), len(a_labels)), np.nan)
    for cell in folder.cells:
        score = folder.score(folder.read(cell))
        if score is not None:
            place = b_labels.index(cell.labels[B]), a_labels.index(cell.labels[A])
            scores[place] = score
    if np.isfinite(scores).any():
        path = folder.path / 'heat_map.png'
        with atomic_write(path) as temporary:
            figure = plot_heat_map(scores, a_labels, b_labels, folder.grid.metric)
            figure.savefig(temporary, dpi=120, format='png')
        print(f'heat map: {path}')


def plot_heat_map(
    scores: np.ndarray, a_labels: Sequence[str], b_labels: Sequence[str], title: str
) -> Figure:
    """Scores over a and b, in colors that change at every tenth percentile (figure 3).

    Args:
        scores: (number of b, number of a); NaN where there is none.
        a_labels: What stands below the columns.
        b_labels: What stands beside the rows, the first at the bottom.
        title: What the scores are.
    """
    levels = percentile_levels(scores)
    colors = colormaps['viridis'].resampled(len(levels) - 1)
    figure = Figure(figsize=(1.6 + 0.9 * len(a_labels), 1.2 + 0.8 * len(b_labels)))
    figure.set_layout_engine('constrained')
    axis = figure.subplots()
    norm = BoundaryNorm(levels, colors.N)
    image = axis.imshow(scores, origin='lower', cmap=colors, norm=norm)
    for (row, column), score in np.ndenumerate(scores):
        if np.isfinite(score):
            light = norm(score) > 0.6 * colors.N
            color = 'black' if light else 'white'
            axis.text(column, row, f'{score:.1f}', ha='center', va='center', color=color)
    axis.set_xticks(range(len(a_labels)), a_labels)
    axis.set_yticks(range(len(b_labels)), b_labels)
    axis.set(xlabel='a', ylabel='b', title=title)
    figure.colorbar(image, ticks=levels, format='%.1f')
    return figure


def percentile_levels(scores: np.ndarray) -> np.ndarray:
    """The 0th, 10th … 100th percentile of the scores, ascending, equal ones once."""
    levels = np.unique(np.nanpercentile(scores, range(0, 101, 10)))
    # A color needs two bounds also where all scores are equal.
    return levels if len(levels) > 1 else np.linspace(levels[0] - 0.5, levels[0] + 0.5, 2)
