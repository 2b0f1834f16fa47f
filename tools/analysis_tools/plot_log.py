"""Draw the curves of one or several trainings: losses, learning rates and metrics.

    python tools/analysis_tools/plot_log.py work_dirs/RUN [MORE …] --keys loss coco/bbox_mAP \
        --out curves.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib

from mmaddp.utils import UserError, atomic_write, run_tool

matplotlib.use('Agg')
from matplotlib import pyplot as plt


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('work_dirs', nargs='+', type=Path, help='work folders of trainings')
    parser.add_argument('--keys', nargs='+', default=['loss'], help='what to draw, one plot each')
    parser.add_argument('--out', type=Path, default=Path('curves.png'), help='a .png, .svg or .pdf')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read every log, draw a plot for each key, write the picture."""
    args = parse_args(arguments)
    curves = {folder.name: read_scalars(folder) for folder in args.work_dirs}
    figure, axes = plt.subplots(
        1, len(args.keys), figsize=(5 * len(args.keys), 3.5), squeeze=False, layout='constrained'
    )
    for axis, key in zip(axes[0], args.keys):
        draw_curve(axis, key, curves)
    with atomic_write(args.out) as path:
        figure.savefig(path, dpi=120, format=args.out.suffix.lstrip('.') or 'png')
    print(f'curves: {args.out}')


def read_scalars(work_dir: Path) -> list[dict]:
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


def draw_curve(axis: plt.Axes, key: str, curves: dict[str, list[dict]]) -> None:
    """One plot: ``key`` over training steps, a line for each run.

    Raises:
        UserError: No run has recorded ``key``.
    """
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


if __name__ == '__main__':
    run_tool(main)
