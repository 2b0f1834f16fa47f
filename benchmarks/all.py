"""Run the comparisons with other projects' code in turn, and print their ratios as one table.

A comparison without its checkout or data is left out, with a line that says what it needs.

    COCO_DIR=data/coco python benchmarks/all.py --detectron2 DIR --addp DIR --ddae DIR
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from mmaddp.utils import UserError, atomic_write, run_tool

HERE = Path(__file__).parent
DETECTOR = 'configs/det/addp/mask-rcnn_addp-vit-b_sfp_8xb2-lsj-36e_coco-folder.py'
MEMORY = 'peak_activations_mib'


class Comparison(NamedTuple):
    """A benchmark of this folder, and what it needs: a checkout or a variable.

    Attributes:
        benchmark: Its file, without ``.py``.
        needs: The option of the checkout's path, or the variable of the environment.
        arguments: Further arguments.
    """

    benchmark: str
    needs: str
    arguments: tuple[str, ...] = ()


COMPARISONS = (
    Comparison('vitdet_backbone', '--detectron2'),
    Comparison('addp_step', '--addp'),
    Comparison('addp_generation', '--addp'),
    Comparison('ddae_unet_step', '--ddae'),
    Comparison('large_scale_jitter', 'COCO_DIR', (DETECTOR, '--batch-size', '60')),
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--detectron2', type=Path, help='checkout of facebookresearch/detectron2')
    parser.add_argument('--addp', type=Path, help='checkout of ChangyaoTian/ADDP')
    parser.add_argument('--ddae', type=Path, help='checkout of FutureXiang/ddae')
    parser.add_argument('--runs', help="runs of each form that count (default: each benchmark's)")
    parser.add_argument('--out', help='write the figures to this JSON file too')
    args = parser.parse_args(arguments)
    for name in ('detectron2', 'addp', 'ddae'):
        folder = getattr(args, name)
        # A comparison that fails would lose the minutes of those before it.
        if folder is not None and not folder.is_dir():
            raise UserError(f'--{name} {folder}: no such folder; give a checkout')
    return args


def machine() -> str:
    """Processor, GPU, threads and PyTorch."""
    lines = Path('/proc/cpuinfo').read_text().splitlines() if sys.platform == 'linux' else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    cpu = f'{len(names)} x {names[0]}' if names else platform.processor()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'
    return f'{cpu}, {gpu}; PyTorch {torch.__version__}, {torch.get_num_threads()} threads'


def run(comparison: Comparison, args: argparse.Namespace) -> dict[str, Any] | None:
    """The figures of each form, the baseline first; None without what the comparison needs."""
    name, needs, arguments = comparison
    if needs.startswith('--'):
        checkout = getattr(args, needs[2:])
        available, arguments = checkout is not None, (needs, str(checkout), *arguments)
    else:
        available = needs in os.environ
    if not available:
        print(f'{name}: left out, it needs {needs}', flush=True)
        return None
    print(f'{name}:', flush=True)
    with TemporaryDirectory() as folder:
        out = Path(folder) / 'figures.json'
        command = [sys.executable, str(HERE / f'{name}.py'), *arguments, '--out', str(out)]
        subprocess.run([*command, *(['--runs', args.runs] if args.runs else [])], check=True)
        return json.loads(out.read_text())['forms']


def rows(figures: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A table row for each form of each comparison beside its baseline."""
    for name, forms in figures.items():
        (baseline, first), *others = forms.items()
        for form, each in others:
            memory = f'{each[MEMORY] / first[MEMORY]:.2f}' if MEMORY in each else ''
            seconds = f'{first["total_s"]:.2f} | {each["total_s"]:.2f}'
            yield f'| {name} | {form} / {baseline} | {seconds} | {each["speedup"]:.2f} | {memory} |'


def main(arguments: list[str] | None = None) -> None:
    """Run what can be run, print the table, and write the figures if asked."""
    args = parse_arguments(arguments)
    run_all = {comparison.benchmark: run(comparison, args) for comparison in COMPARISONS}
    figures = {name: forms for name, forms in run_all.items() if forms is not None}
    print(f'\n{machine()}\n')
    print('| benchmark | forms | theirs (s) | ours (s) | speed | memory |')
    print('| --- | --- | --- | --- | --- | --- |')
    print('\n'.join(rows(figures)))
    if args.out:
        with atomic_write(args.out) as temporary:
            temporary.write_text(json.dumps(dict(machine=machine(), **figures), indent=2) + '\n')


if __name__ == '__main__':
    run_tool(main)
