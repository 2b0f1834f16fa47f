"""The style of all figures, and the plots that several experiments share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmaddp.utils import atomic_write

DPI = 120
COLORS = 'viridis'
Points = Sequence[tuple[float, float]]


def new_figure(
    columns: int = 1, rows: int = 1, width: float = 5.0, height: float = 3.5
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes in reading order, each ``width`` by ``height`` inches."""
    figure = Figure(figsize=(width * columns, height * rows), layout='constrained')
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format of its file name, .png without one."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format=Path(path).suffix[1:] or 'png')


def plot_lines(axis: Axes, lines: Mapping[str, Points]) -> None:
    """One line for each label; few points get markers."""
    for label, points in lines.items():
        x, y = zip(*points)
        axis.plot(x, y, label=label, marker='o' if len(points) < 30 else None, ms=3)
    add_grid(axis)
    if lines:
        axis.legend(fontsize='small')


def add_grid(axis: Axes) -> None:
    """The light grid of all plots."""
    axis.grid(alpha=0.3)


def plot_heat_map(
    values: np.ndarray,
    columns: Sequence[object],
    rows: Sequence[object],
    *,
    title: str,
    xlabel: str = '',
    ylabel: str = '',
    best: tuple[int, int] | None = None,
    levels: np.ndarray | None = None,
    form: str = '.1f',
) -> Figure:
    """Values as colors with their numbers, the first row at the bottom.

    Args:
        values: (rows, columns); NaN stays white.
        columns: Labels of the columns.
        rows: Labels of the rows.
        title: Title of the figure.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        best: Row and column of a cell to frame.
        levels: Ascending bounds between colors; colors are continuous when None.
        form: Format of the numbers.
    """
    size = (2.2 + 0.6 * len(columns), 2.0 + 0.5 * len(rows))
    figure, (axis,) = new_figure(width=size[0], height=size[1])
    colors, norm = colormaps[COLORS], Normalize(np.nanmin(values), np.nanmax(values))
    if levels is not None:
        colors = colors.resampled(len(levels) - 1)
        norm = BoundaryNorm(levels, colors.N)
    image = axis.imshow(values, origin='lower', cmap=colors, norm=norm, aspect='auto')
    for row, column in np.argwhere(np.isfinite(values)):
        red, green, blue, _ = colors(norm(values[row, column]))
        # Black on light cells, white on dark ones.
        color = 'black' if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else 'white'
        text = format(values[row, column], form)
        axis.text(column, row, text, ha='center', va='center', color=color, size=8)
    if best is not None:
        corner = best[1] - 0.5, best[0] - 0.5
        axis.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor='red', linewidth=2))
    axis.set_xticks(range(len(columns)), columns, rotation=45 if len(columns) > 8 else 0)
    axis.set_yticks(range(len(rows)), rows)
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title)
    figure.colorbar(image, ticks=levels, format=f'%{form}')
    return figure
