"""Predict images: python tools/predict.py CONFIG CHECKPOINT IMAGES... --out-dir DIR."""

from __future__ import annotations

import argparse

from mmaddp.engine.arguments import add_config_arguments, add_device_argument
from mmaddp.utils import UserError, check_range, run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Detect, segment or classify images, as the config says.',
        epilog='DIR/vis has the images with what was found. Detectors also write '
        'DIR/predictions.json in COCO format, segmentors DIR/maps with PNGs of class indices, '
        'classifiers DIR/predictions.csv.',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='the weights: a training checkpoint or a published file')
    parser.add_argument(
        'images', nargs='+', metavar='IMAGES', help="files, folders with subfolders, 'patterns*'"
    )
    parser.add_argument('--out-dir', required=True, metavar='DIR', help='folder of the results')
    parser.add_argument(
        '--batch-size', type=int, default=1, help='images of one size at once (%(default)s)'
    )
    add_device_argument(parser)
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='smallest score of a box that is drawn (%(default)s); the JSON file has all boxes',
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Predict, write and count."""
    args = parse_arguments(arguments)
    check_range('--batch-size', args.batch_size, 1)
    from rich.progress import track

    from mmaddp.apis.prediction import Predictor, list_images
    from mmaddp.apis.prediction_files import PredictionFolder
    from mmaddp.engine.runs import load_config

    files = list_images(args.images)
    config = load_config(args.config, args.cfg_options, args.variant)
    predictor = Predictor(config, args.checkpoint, args.device)
    folder = PredictionFolder(args.out_dir, predictor.visualizer, args.score_thr)
    predictions = folder.record(predictor(files, args.batch_size))
    count = sum(1 for _ in track(predictions, 'images', total=len(files)))
    if not count:
        raise UserError(f'none of the {len(files)} images could be predicted: see the warnings')
    left_out = f'; {len(files) - count} were left out' if count < len(files) else ''
    print(f'predictions of {count} images: {args.out_dir}{left_out}')


if __name__ == '__main__':
    run_tool(main)
