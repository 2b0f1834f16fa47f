"""Test a checkpoint: python tools/test.py CONFIG CHECKPOINT [options]."""

from __future__ import annotations

import argparse

from mmaddp.engine.arguments import add_config_arguments, add_run_arguments
from mmaddp.utils import run_tool

# What tools/export.py writes.
EXPORTED = ('.onnx', '.pt2')


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Test a checkpoint of any task.')
    add_config_arguments(parser)
    parser.add_argument(
        'checkpoint', help='the weights: a training checkpoint, or a published or exported file'
    )
    add_run_arguments(parser)
    parser.add_argument('--out', help='write the predictions to this .pkl file')
    parser.add_argument('--show-dir', help='write images with their predictions to this folder')
    parser.add_argument(
        '--tta', action='store_true', help="use the config's test-time augmentation"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Test, print the metrics and write them to the work folder as JSON."""
    args = parse_arguments(arguments)
    from mmaddp.engine import runs

    config = runs.prepare_run(runs.load_config(args.config, args.cfg_options, args.variant), args)
    config.load_from, config.resume = args.checkpoint, False
    if args.checkpoint.endswith(EXPORTED):
        config.model = dict(type='mmaddp.ExportedModel', model=config.model, file=config.load_from)
        config.load_from = None
    if args.tta:
        runs.use_tta(config)
    if args.out:
        runs.write_predictions(config, args.out)
    if args.show_dir:
        runs.visualize_predictions(config, args.show_dir)
    runs.test(config)


if __name__ == '__main__':
    run_tool(main)
