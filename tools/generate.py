"""Generate images: python tools/generate.py CONFIG CHECKPOINT --num-images N --out-dir DIR."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from mmaddp.engine.arguments import (
    add_config_arguments,
    add_device_argument,
    add_launcher_arguments,
)
from mmaddp.utils import run_tool

if TYPE_CHECKING:
    from mmaddp.experiments.generation_folder import Completion


def parse_arguments(arguments: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line. Returns the options and the remaining sampler settings."""
    parser = argparse.ArgumentParser(
        description='Generate images with ADDP (its algorithm 2), DARL (patch by patch) or DDAE '
        '(the whole image), or complete an image. Existing images in DIR are kept.',
        epilog='Sampler settings are additional options, such as --steps 20, --top-p 0.9, '
        '--no-clip or --sampler ancestral. An unknown option prints all settings of the model.',
        allow_abbrev=False,
    )
    add_config_arguments(parser)
    parser.add_argument(
        'checkpoint', help='a pre-training checkpoint, or a published file or folder'
    )
    parser.add_argument('--num-images', type=int, required=True, help='number of images in DIR')
    parser.add_argument(
        '--out-dir', required=True, metavar='DIR', help='folder of the images, 000000.png and so on'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of all images (%(default)s)')
    parser.add_argument(
        '--batch-size', type=int, default=16, help='images per batch and process (%(default)s)'
    )
    add_device_argument(parser)
    parser.add_argument(
        '--grid',
        type=int,
        nargs='?',
        default=0,
        const=64,
        metavar='N',
        help='write the first N images (%(const)s) as one image to DIR/grid',
    )
    parser.add_argument(
        '--intermediate',
        action='store_true',
        help='write the steps of each image to DIR/steps',
    )
    completion = parser.add_argument_group('completion of an image, with ADDP and DARL')
    completion.add_argument('--image', help='the image, in the size that the model generates')
    completion.add_argument('--mask', help='an image of the same size; white is generated')
    completion.add_argument(
        '--keep-pixels', action='store_true', help='keep the pixels where the mask is black'
    )
    add_launcher_arguments(parser)
    args, settings = parser.parse_known_args(arguments)
    if bool(args.image) != bool(args.mask) or (args.keep_pixels and not args.image):
        parser.error('a completion needs --image and --mask; only it takes --keep-pixels')
    return args, settings


def read_completion(args: argparse.Namespace) -> Completion | None:
    """The requested completion, if any."""
    from mmaddp.experiments.generation_folder import Completion

    return Completion(args.image, args.mask, args.keep_pixels) if args.image else None


def main(arguments: list[str] | None = None) -> None:
    """Generate the images that are not there yet."""
    args, settings = parse_arguments(arguments)
    from mmaddp.apis.models import load_pretrainer
    from mmaddp.engine.runner.launch import join_processes
    from mmaddp.engine.runs import clear_errors, load_config
    from mmaddp.experiments.generation_folder import generate_folder
    from mmaddp.experiments.sampling import parse_settings

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with clear_errors():
        completion = read_completion(args)
        join_processes(args.launcher)
        config = load_config(args.config, args.cfg_options, args.variant)
        model = load_pretrainer(config, args.checkpoint, args.device)
        generate_folder(
            model,
            model.sampler(**parse_settings(model, settings)),
            args.out_dir,
            args.num_images,
            args.seed,
            args.batch_size,
            completion=completion,
            intermediate=args.intermediate,
            grid=args.grid,
        )


if __name__ == '__main__':
    run_tool(main)
