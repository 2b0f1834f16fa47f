"""Curves of trainings, from the logs in their work folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmaddp.utils import UserError, atomic_write

Records = list[dict]


def by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Work folders by their names, or by their paths where several have one name."""
    names = [folder.name for folder in folders]
    return {
        name if name and names.count(name) == 1 else str(folder): folder
        for name, folder in zip(names, folders)
    }


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture in the format that its name tells.

    Raises:
        UserError: There is no such format.
    """
    kind = path.suffix.lstrip('.') or 'png'
    if kind not in figure.canvas.get_supported_filetypes():
        raise UserError(f'--out {path}: .{kind} is no picture: give a .png, .svg or .pdf')
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120, format=kind)


def plot_curves(curves: dict[str, Records], keys: Sequence[str]) -> Figure:
    """A plot for each key, a line in it for each training.

    Args:
        curves: The records of each training, by the name that the legend gives it.
        keys: What to draw.

    Raises:
        UserError: No training has recorded one of ``keys``.
    """
    figure = Figure(figsize=(5 * len(keys), 3.5), layout='constrained')
    for axis, key in zip(figure.subplots(1, len(keys), squeeze=False)[0], keys):
        plot_curve(axis, key, curves)
    return figure


def read_scalars(work_dir: Path) -> Records:
    """The records of a training, each step's last one where a resumed run repeats it.

    Raises:
        UserError: The folder holds no log of MMEngine's.
    """
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        raise UserError(
            f'{work_dir} holds no */vis_data/scalars.json: name the --work-dir of a run'
        )
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    # Tests write to the same folder, at step 0.
    steps = (record for record in records if record.get('step', 0) > 0)
    latest = {(record['step'], 'loss' in record): record for record in steps}
    return [latest[key] for key in sorted(latest)]


def plot_curve(axis: Axes, key: str, curves: dict[str, Records]) -> None:
    """One plot: ``key`` over training steps, a line for each training."""
    for name, records in curves.items():
        points = [(record['step'], record[key]) for record in records if key in record]
        if points:
            axis.plot(*zip(*points), label=name, marker='o' if len(points) < 30 else None, ms=3)
    if not axis.lines:
        known = sorted({name for records in curves.values() for r in records for name in r})
        raise UserError(f'--keys {key}: no run has recorded it; there are {", ".join(known)}')
    axis.set(xlabel='step', title=key)
    axis.grid(alpha=0.3)
    axis.legend(fontsize='small')
