"""Select layers without labels: DDAE's figure 3, alignment and uniformity over checkpoints.

    python tools/analysis_tools/alignment_uniformity.py CONFIG work_dirs/ddae/iter_*.pth --level 11

Goes on if killed: a checkpoint that has results is not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import mmaddp  # noqa: F401
from mmaddp.engine.runs import add_config_arguments, load_config
from mmaddp.experiments.layer_selection import (
    PLOT_FILE,
    TABLE_FILE,
    Selection,
    best_of,
    select_layers,
)
from mmaddp.utils import run_tool


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_config_arguments(parser)
    parser.add_argument('checkpoints', nargs='+', help='checkpoints of its training')
    parser.add_argument(
        '--level', type=int, required=True, help='noise level, 1 .. T of DDPM, 1 .. 18 of EDM'
    )
    parser.add_argument('--layers', nargs='+', metavar='NAME', help='which layers (all)')
    parser.add_argument('--num-images', type=int, help='a random part of the images (all)')
    parser.add_argument('--seed', type=int, default=0, help='of the noise and of the part')
    parser.add_argument('--batch-size', type=int, default=128, help='images seen at once')
    parser.add_argument('--num-workers', type=int, default=2, help='processes that load images')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (the GPU where there is one)')
    parser.add_argument('--work-dir', help='results (work_dirs/CONFIG/alignment_level-N)')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, and say which layer is best."""
    args = parse_arguments(arguments)
    config = load_config(args.config, args.cfg_options, args.variant)
    folder = args.work_dir or f'work_dirs/{Path(args.config).stem}/alignment_level-{args.level}'
    selection = Selection(args.level, args.layers, args.num_images, args.seed)
    trails = select_layers(
        config,
        args.checkpoints,
        selection,
        folder,
        args.batch_size,
        args.num_workers,
        args.device,
    )
    best = best_of(trails)
    print(f'least sum: {best.layer}, {best.alignment:.4g} and {best.uniformity:.4g}')
    print(f'{Path(folder, TABLE_FILE)}\n{Path(folder, PLOT_FILE)}')


if __name__ == '__main__':
    run_tool(main)
