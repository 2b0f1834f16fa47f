"""Plot the curves of one or more trainings: losses, learning rates and metrics.

    python tools/analysis_tools/plot_log.py work_dirs/RUN [MORE …] --keys loss coco/bbox_mAP \
        --out curves.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmaddp.utils import run_tool


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('work_dirs', nargs='+', type=Path, help='work folders of trainings')
    parser.add_argument(
        '--keys', nargs='+', default=['loss'], help='what to plot, one plot per key'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('curves.png'), help='a .png, .svg or .pdf file'
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read every log, plot each key and write the figure."""
    args = parse_args(arguments)
    from mmaddp.experiments.figures import save_figure
    from mmaddp.experiments.logs import by_name, plot_curves, read_scalars

    curves = {name: read_scalars(folder) for name, folder in by_name(args.work_dirs).items()}
    save_figure(plot_curves(curves, args.keys), args.out)
    print(f'curves: {args.out}')


if __name__ == '__main__':
    run_tool(main)
