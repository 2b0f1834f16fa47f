"""Select layers without labels: DDAE's figure 3, alignment and uniformity over checkpoints.

    python tools/analysis_tools/alignment_uniformity.py CONFIG work_dirs/ddae/iter_*.pth --level 11

After an interruption, run it again: it skips checkpoints that already have results.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmaddp.engine.arguments import add_config_arguments, add_device_argument
from mmaddp.utils import run_tool


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_config_arguments(parser)
    parser.add_argument('checkpoints', nargs='+', help='checkpoints of the training')
    parser.add_argument(
        '--level', type=int, required=True, help='noise level, 1 .. T of DDPM, 1 .. 18 of EDM'
    )
    parser.add_argument('--layers', nargs='+', metavar='NAME', help='layers (default: all)')
    parser.add_argument(
        '--num-images', type=int, help='size of a random subset of the images (default: all)'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the noise and the subset')
    parser.add_argument('--batch-size', type=int, default=128, help='images per batch')
    parser.add_argument('--num-workers', type=int, default=2, help='processes that load images')
    add_device_argument(parser)
    parser.add_argument(
        '--work-dir', help='folder of the results (work_dirs/CONFIG/alignment_level-N)'
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure missing checkpoints and print the best layer."""
    args = parse_arguments(arguments)
    from mmaddp.engine.runs import load_config
    from mmaddp.experiments import layer_selection

    config = load_config(args.config, args.cfg_options, args.variant)
    folder = args.work_dir or f'work_dirs/{Path(args.config).stem}/alignment_level-{args.level}'
    selection = layer_selection.Selection(args.level, args.layers, args.num_images, args.seed)
    trails = layer_selection.select_layers(
        config,
        args.checkpoints,
        selection,
        folder,
        args.batch_size,
        args.num_workers,
        args.device,
    )
    best = layer_selection.best_of(trails)
    print(f'lowest sum: {best.layer}, {best.alignment:.4g} and {best.uniformity:.4g}')
    for name in (layer_selection.TABLE_FILE, layer_selection.PLOT_FILE):
        print(Path(folder, name))


if __name__ == '__main__':
    run_tool(main)
