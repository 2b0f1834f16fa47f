"""Time imports and the --help of tools as ratios to ``import torch``, each in a new process.

    python benchmarks/import_times.py --runs 5 --out imports.json

A run times every form once, one after the other, and the median of the runs counts.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from prettytable import PrettyTable

from mmaddp.utils import check_range, run_tool, write_json

ROOT = Path(__file__).resolve().parents[1]
BASELINE = 'import torch'
FORMS = {
    BASELINE: ['-c', BASELINE],
    'import mmaddp': ['-c', 'import mmaddp'],
    'import mmaddp.models.backbones': ['-c', 'import mmaddp.models.backbones'],
    'import mmaddp.checkpoints': ['-c', 'import mmaddp.checkpoints'],
    'import mmengine.runner': ['-c', 'import mmengine.runner'],
    'import mmaddp.engine.runs': ['-c', 'import mmaddp.engine.runs'],
    'mmaddp --help': ['-c', "from mmaddp.cli import main; main(['--help'])"],
    **{
        f'{name} --help': [str(ROOT / 'tools' / name), '--help']
        for name in ('train.py', 'generate.py', 'model_converters/convert_checkpoint.py')
    },
}


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--runs', type=int, default=3, help='runs of each form (%(default)s)')
    parser.add_argument('--out', help='write the figures to this JSON file too')
    args = parser.parse_args(arguments)
    check_range('--runs', args.runs, 1)
    figures = measure(args.runs)
    table = PrettyTable(['', 'seconds', f'/ {BASELINE}'])
    table.align = 'l'
    for name, each in figures.items():
        table.add_row([name, f'{each["seconds"]:.2f}', f'{each["ratio"]:.2f}'])
    print(table)
    if args.out:
        write_json(args.out, figures)


def measure(runs: int) -> dict[str, dict[str, float]]:
    """Median seconds of each form, and their ratio to the baseline's."""
    seconds: dict[str, list[float]] = {name: [] for name in FORMS}
    for number in range(runs + 1):
        for name, words in FORMS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
            # The first run fills the disk's cache and compiles modules.
            if number:
                seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    base = medians[BASELINE]
    return {name: {'seconds': each, 'ratio': each / base} for name, each in medians.items()}


if __name__ == '__main__':
    run_tool(main)
