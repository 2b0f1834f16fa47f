"""Plot the accuracy of noise-conditional classifiers against noise level, one curve per run.

    python tools/analysis_tools/plot_noise_accuracy.py work_dirs/RUN [MORE …] --out accuracy.png

Writes the figure, and the numbers as accuracy.json next to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmaddp.utils import run_tool, write_json


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('work_dirs', nargs='+', type=Path, help='work folders of classifiers')
    parser.add_argument(
        '--out', type=Path, default=Path('noise_accuracy.png'), help='a .png, .svg or .pdf file'
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the last accuracies of every run, write the numbers and the figure."""
    args = parse_args(arguments)
    from mmaddp.experiments.figures import save_figure
    from mmaddp.experiments.logs import by_name, plot_accuracies, read_accuracies

    runs = {name: read_accuracies(folder) for name, folder in by_name(args.work_dirs).items()}
    numbers = args.out.with_suffix('.json')
    save_figure(plot_accuracies(runs), args.out)
    write_json(numbers, runs)
    print(f'accuracies: {numbers}, {args.out}')


if __name__ == '__main__':
    run_tool(main)
