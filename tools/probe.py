"""Probe all layers of an encoder at all noise levels: tools/probe.py CONFIG CHECKPOINT [options].

    python tools/probe.py configs/cls/ddae/CONFIG work_dirs/PRE-TRAINING/epoch_2000.pth

CHECKPOINT holds the encoder: a pre-training checkpoint, or another file that the encoder can load.
'random' probes random weights. The results are grid.json, grid.md, grid.png and best_cell.json in
the work folder. Fine-tuning configs read the last one by --cfg-options best_cell=PATH. To use
several processes, see tools/dist_run.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mmaddp  # noqa: F401
from mmaddp.engine.runs import (
    add_config_arguments,
    add_training_arguments,
    load_config,
    prepare_training,
)
from mmaddp.experiments.probing import (
    BEST_FILE,
    GRID_FILE,
    PLOT_FILE,
    RANDOM,
    TABLE_FILE,
    prepare_probe,
    probe,
)
from mmaddp.utils import run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help=f"the encoder's weights, or '{RANDOM}'")
    parser.add_argument(
        '--layers', nargs='+', metavar='NAME', help="layers (default: the config's)"
    )
    parser.add_argument(
        '--levels',
        nargs='+',
        type=int,
        metavar='N',
        help="noise levels, counted from 1 (default: the config's)",
    )
    add_training_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Train all heads, print their table and write the results."""
    args = parse_arguments(arguments)
    config = prepare_training(load_config(args.config, args.cfg_options, args.variant), args)
    prepare_probe(config, args.checkpoint, args.layers, args.levels)
    results = probe(config, args.resume)
    if results is None:
        return
    folder = Path(config.work_dir)
    print(f'\n{results.table()}\n')
    print('files: ' + ', '.join(str(folder / name) for name in (GRID_FILE, TABLE_FILE, PLOT_FILE)))
    if args.checkpoint != RANDOM:
        print(
            'next: fine-tune from the best cell with python tools/train.py CONFIG --cfg-options '
            f'best_cell={folder / BEST_FILE} model.backbone.init_cfg.checkpoint={args.checkpoint}, '
            f'CONFIG of configs/cls with model.backbone.type={results.best["encoder"]}'
        )


if __name__ == '__main__':
    run_tool(main)
