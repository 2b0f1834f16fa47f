"""What a probe leaves on the disk: the grid as numbers, table and picture, and its best cell."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmaddp.utils import atomic_write

GRID_FILE, TABLE_FILE, PLOT_FILE = 'grid.json', 'grid.md', 'grid.png'
BEST_FILE = 'best_cell.json'


@dataclass(frozen=True)
class ProbeResults:
    """Accuracy by layer and noise level.

    Attributes:
        method: 'ADDP', 'DARL' or 'DDAE'.
        checkpoint: The encoder's file, or 'random'.
        layers: Their names.
        levels: Their numbers; one None where images are clean.
        times: The network's time input at each level; None where images are clean.
        channels: Of each layer.
        out_indices: The place of each layer among all of the encoder's.
        accuracy: Top-1 in percent, a row for each layer.
        pixels: That of the control on raw pixels; None without one.
    """

    method: str
    checkpoint: str
    layers: list[str]
    levels: list[int | None]
    times: list[float | None]
    channels: list[int]
    out_indices: list[int]
    accuracy: list[list[float]]
    pixels: float | None = None

    @property
    def has_levels(self) -> bool:
        """Whether images were noised."""
        return self.levels != [None]

    @property
    def best(self) -> tuple[int, int]:
        """Row and column of the best cell, the first of equals."""
        row, column = np.unravel_index(np.argmax(self.accuracy), np.shape(self.accuracy))
        return int(row), int(column)

    def best_cell(self) -> dict[str, Any]:
        """The best cell, as :func:`mmaddp.engine.best_cell.apply_best_cell` reads it."""
        row, column = self.best
        time = self.times[column]
        return dict(
            method=self.method,
            layer=self.layers[row],
            level=self.levels[column],
            # Fewer digits than float32 has, so that 0.011 is written as such.
            time=None if time is None else float(f'{time:.6g}'),
            channels=self.channels[row],
            accuracy=self.accuracy[row][column],
            out_index=self.out_indices[row],
        )

    def write(self, folder: str | Path) -> None:
        """Write all files, each of which is there as a whole or not at all."""
        folder = Path(folder)
        write_json(folder / GRID_FILE, {**asdict(self), 'best': self.best_cell()})
        write_json(folder / BEST_FILE, self.best_cell())
        with atomic_write(folder / TABLE_FILE) as temporary:
            temporary.write_text(self.table() + '\n')
        with atomic_write(folder / PLOT_FILE) as temporary:
            plot_grid(self).savefig(temporary, dpi=120, format='png')

    def table(self) -> str:
        """The grid in Markdown, its best cell in bold."""
        heads = [f'level {level}' for level in self.levels] if self.has_levels else ['top-1 (%)']
        lines = [['layer', *heads], ['---'] * (1 + len(heads))]
        for row, layer in enumerate(self.layers):
            values = [f'{value:.1f}' for value in self.accuracy[row]]
            if row == self.best[0]:
                values[self.best[1]] = f'**{values[self.best[1]]}**'
            lines.append([layer, *values])
        table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
        control = '' if self.pixels is None else f'\n\nLinear on raw pixels: {self.pixels:.1f}'
        return f'{table}\n\n{self.summary()}{control}'

    def summary(self) -> str:
        """The best cell in one line."""
        cell = self.best_cell()
        where = ''
        if self.has_levels:
            where = f' at noise level {cell["level"]} (time {cell["time"]:g})'
        weights = Path(self.checkpoint).name if self.checkpoint != 'random' else 'random weights'
        return (
            f'Best of {self.method}, {weights}: {cell["layer"]}{where}, '
            f'{cell["accuracy"]:.1f}% top-1'
        )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file at once."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + '\n')


def plot_grid(results: ProbeResults) -> Figure:
    """Accuracy over layers and noise levels, as figure 2 of DDAE; a line where there are none."""
    width = 2.2 + 0.55 * len(results.layers)
    figure = Figure(figsize=(width, 2.0 + 0.45 * len(results.levels)), layout='constrained')
    if not results.has_levels:
        figure.set_size_inches(width, 3.2)
    axis = figure.subplots()
    (plot_heat_map if results.has_levels else draw_line)(axis, results)
    axis.set_xticks(range(len(results.layers)), results.layers, rotation=45, ha='right')
    axis.set_title(f'{results.method}: linear top-1 (%)')
    return figure


def plot_heat_map(axis: Axes, results: ProbeResults) -> None:
    """Layers from left to right, noise levels from the least at the bottom; the best framed."""
    scores = np.array(results.accuracy).T
    image = axis.imshow(scores, origin='lower', cmap='viridis', aspect='auto')
    for (row, column), score in np.ndenumerate(scores):
        light = image.norm(score) > 0.6
        color = 'black' if light else 'white'
        axis.text(column, row, f'{score:.1f}', ha='center', va='center', color=color, size=8)
    layer, level = results.best
    frame = Rectangle((layer - 0.5, level - 0.5), 1, 1, fill=False, edgecolor='red', linewidth=2)
    axis.add_patch(frame)
    axis.set_yticks(range(len(results.levels)), results.levels)
    axis.set_ylabel('noise level')
    axis.figure.colorbar(image)


def draw_line(axis: Axes, results: ProbeResults) -> None:
    """Accuracy over layers, the best marked, and that of pixels as a level line."""
    scores = [row[0] for row in results.accuracy]
    axis.plot(scores, marker='o', ms=4)
    axis.plot(results.best[0], scores[results.best[0]], marker='o', ms=9, mfc='none', color='red')
    if results.pixels is not None:
        axis.axhline(results.pixels, ls='--', color='gray', label='raw pixels')
        axis.legend(fontsize='small')
    axis.grid(alpha=0.3)
