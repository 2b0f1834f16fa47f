"""Evaluates a classifier on ImageNet-A, -R, -Sketch and -C and prints one table."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch

from mmaddp.datasets.robustness_parts import DATASET_NAMES
from mmaddp.engine.setup import add_config_arguments, load_config
from mmaddp.evaluation import format_table
from mmaddp.experiments.robustness import evaluate_robustness
from mmaddp.experiments.robustness_results import hash_file
from mmaddp.utils import UserError, run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='the weights of a classifier of ImageNet-1k')
    parser.add_argument(
        '--data-root', required=True, help=f'folder that holds {", ".join(DATASET_NAMES)}'
    )
    parser.add_argument(
        '--datasets', nargs='+', choices=DATASET_NAMES, help='default: all under the data root'
    )
    parser.add_argument('--batch-size', type=int, help="default: the config's")
    parser.add_argument('--num-workers', type=int, help="default: the config's")
    parser.add_argument('--device', help='cpu, cuda, cuda:1, …; default: cuda where there is one')
    parser.add_argument(
        '--out',
        help='JSON file of results, continued by the next run of the same model; default: '
        'work_dirs/CONFIG/robustness_CHECKPOINT-HASH.json',
    )
    return parser.parse_args()


def main() -> None:
    """Run the evaluation and print its table."""
    args = parse_args()
    _check_loader(args.batch_size, args.num_workers)
    device = _device(args.device)
    config = load_config(args.config, args.cfg_options, args.variant)
    out = args.out or _default_out(args.config, args.checkpoint)
    summary = evaluate_robustness(
        config,
        args.checkpoint,
        args.data_root,
        out=out,
        datasets=args.datasets,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        device=device,
    )
    print(f'\n{format_table(summary)}\n\nresults: {out}')


def _check_loader(batch_size: int | None, num_workers: int | None) -> None:
    if batch_size is not None and batch_size < 1:
        raise UserError(f'--batch-size {batch_size}: must be 1 or more')
    if num_workers is not None and num_workers < 0:
        raise UserError(f'--num-workers {num_workers}: must be 0 or more')


def _device(name: str | None) -> str:
    gpu = torch.cuda.is_available()
    name = name or ('cuda' if gpu else 'cpu')
    if not re.fullmatch(r'cpu|cuda(:\d+)?', name):
        raise UserError(f'--device {name}: must be cpu, cuda or cuda:NUMBER')
    if name != 'cpu' and not gpu:
        raise UserError(f'--device {name}: this machine has no usable GPU; use --device cpu')
    return name


def _default_out(config: str, checkpoint: str) -> Path:
    name = f'robustness_{Path(checkpoint).stem}-{hash_file(checkpoint)[:8]}.json'
    return Path('work_dirs') / Path(config).stem / name


if __name__ == '__main__':
    run_tool(main)
