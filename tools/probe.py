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

from mmaddp.engine.arguments import add_config_arguments, add_training_arguments
from mmaddp.utils import run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help="the encoder's weights, or 'random'")
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
    parser.add_argument(
        '--lrs',
        nargs='+',
        type=float,
        metavar='LR',
        help="learning rates, a head for each (default: the optimizer's)",
    )
    add_training_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Train all heads, print their table and write the results."""
    args = parse_arguments(arguments)
    from mmaddp.apis import probe
    from mmaddp.engine.runs import load_config, prepare_training
    from mmaddp.experiments import probing

    config = prepare_training(load_config(args.config, args.cfg_options, args.variant), args)
    results = probe(config, args.checkpoint, args.layers, args.levels, args.lrs, resume=args.resume)
    if results is None:
        return
    folder = Path(config.work_dir)
    print(f'\n{results.table()}\n')
    files = (probing.GRID_FILE, probing.TABLE_FILE, probing.PLOT_FILE)
    print('files: ' + ', '.join(str(folder / name) for name in files))
    if args.checkpoint != probing.RANDOM:
        best = folder / probing.BEST_FILE
        print(
            'next: fine-tune from the best cell with python tools/train.py CONFIG --cfg-options '
            f'best_cell={best} model.backbone.init_cfg.checkpoint={args.checkpoint}, '
            f'CONFIG with model.backbone.type={results.best["encoder"]}'
        )


if __name__ == '__main__':
    run_tool(main)
