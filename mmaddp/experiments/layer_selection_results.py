"""What a label-free selection leaves on the disk: a JSON file, a table and figure 3."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import colormaps
from matplotlib.figure import Figure

from mmaddp.utils import UserError, atomic_write

JSON_FILE, TABLE_FILE, PLOT_FILE = (f'alignment_uniformity.{end}' for end in ('json', 'md', 'png'))


class Point(NamedTuple):
    """One layer at one checkpoint."""

    layer: str
    step: str
    alignment: float
    uniformity: float

    @property
    def sum(self) -> float:
        """Both metrics with equal weights; the paper only says that both should be low."""
        return self.alignment + self.uniformity


class SelectionResults:
    """The work folder of a selection.

    ``alignment_uniformity.json`` has ``settings``, ``layers`` in the encoder's order, and
    ``checkpoints``: of each its ``step`` and the metrics of its layers.

    Args:
        folder: The folder; what it holds of the same settings is kept.
        settings: What must be the same for all checkpoints.

    Raises:
        UserError: The folder holds results of other settings.
    """

    def __init__(self, folder: str | Path, settings: dict[str, Any]) -> None:
        self.folder = Path(folder)
        path = self.folder / JSON_FILE
        self.content: dict[str, Any] = {'settings': settings, 'layers': [], 'checkpoints': {}}
        if path.is_file():
            self.content = json.loads(path.read_text())
            known = self.content['settings']
            differing = [key for key, value in settings.items() if known.get(key) != value]
            if differing:
                raise UserError(
                    f'{path}: was measured with another {", ".join(differing)}: give another '
                    '--work-dir, or remove it'
                )

    def has(self, checkpoint: str, layers: Sequence[str]) -> bool:
        """Whether these layers of a checkpoint are there."""
        return set(layers) <= self._of(checkpoint).get('layers', {}).keys()

    def add(
        self,
        checkpoint: str,
        step: int | None,
        all_layers: Sequence[str],
        metrics: dict[str, dict[str, float]],
    ) -> None:
        """Add a checkpoint's metrics and write everything."""
        entry = {'step': step, 'layers': {**self._of(checkpoint).get('layers', {}), **metrics}}
        self.content['layers'] = list(all_layers)
        self.content['checkpoints'][os.path.abspath(checkpoint)] = entry
        with atomic_write(self.folder / JSON_FILE) as temporary:
            temporary.write_text(json.dumps(self.content, indent=2) + '\n')
        self.write_report()

    def _of(self, checkpoint: str) -> dict[str, Any]:
        return self.content['checkpoints'].get(os.path.abspath(checkpoint), {})

    def trails(self) -> dict[str, list[Point]]:
        """The points of each layer in the order of training."""
        return {
            layer: points
            for layer in self.content['layers']
            if (points := list(self._trail(layer)))
        }

    def _trail(self, layer: str) -> Iterator[Point]:
        # Files that do not say their step stay in the order they were given in, at the end.
        entries = sorted(
            self.content['checkpoints'].items(), key=lambda item: item[1]['step'] or float('inf')
        )
        for path, entry in entries:
            if layer in entry['layers']:
                step = str(entry['step'] or Path(path).stem)
                yield Point(layer, step, **entry['layers'][layer])

    def best(self) -> Point:
        """The layer whose two metrics have the least sum at the last checkpoint."""
        return min((points[-1] for points in self.trails().values()), key=lambda point: point.sum)

    def write_report(self) -> None:
        """Write the table and the plot of what there is."""
        trails = self.trails()
        with atomic_write(self.folder / TABLE_FILE) as temporary:
            temporary.write_text(table_of(trails, self.best()))
        with atomic_write(self.folder / PLOT_FILE) as temporary:
            plot_trails(trails).savefig(temporary, dpi=120, format='png')


def table_of(trails: dict[str, list[Point]], best: Point) -> str:
    """A Markdown table of all points, and which layer is best at the end."""
    lines = ['| layer | step | alignment | uniformity | sum |', '| --- | --- | --- | --- | --- |']
    lines += [
        f'| {p.layer} | {p.step} | {p.alignment:.4g} | {p.uniformity:.4g} | {p.sum:.4g} |'
        for points in trails.values()
        for p in points
    ]
    return '\n'.join([*lines, '', f'Least sum at the last checkpoint: {best.layer}', ''])


def plot_trails(trails: dict[str, list[Point]]) -> Figure:
    """Figure 3: a dot for each checkpoint, larger at the end, joined in the order of training.

    Good layers lie at the lower left.
    """
    figure = Figure(figsize=(6.5, 5), layout='constrained')
    axis = figure.subplots()
    colors = colormaps['viridis'].resampled(max(len(trails), 2))
    for number, (layer, points) in enumerate(trails.items()):
        x, y = zip(*((point.alignment, point.uniformity) for point in points))
        color = colors(number)
        axis.plot(x, y, color=color, alpha=0.5, label=layer)
        sizes = [20 + 60 * place / max(len(points) - 1, 1) for place in range(len(points))]
        axis.scatter(x, y, sizes, color=color)
    axis.set(xlabel='alignment', ylabel='uniformity')
    axis.grid(alpha=0.3)
    axis.legend(fontsize='small')
    return figure
