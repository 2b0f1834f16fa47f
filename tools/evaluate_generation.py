r"""Measure generated images by FID, inception score, precision and recall.

Evaluate a folder of images from any model:

    python tools/evaluate_generation.py IMAGES_DIR --reference REAL_DIR

Compare sampler settings in one table and plot. This generates and measures images for each one:

    python tools/evaluate_generation.py --config CONFIG --checkpoint FILE --reference REAL_DIR \
        --out-dir DIR --settings steps=10,20,40 schedule=linear,cosine temperature=6,2

All combinations are measured. The settings are those of tools/generate.py.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmaddp.engine.arguments import OptionsAction, add_device_argument, add_launcher_arguments
from mmaddp.utils import UserError, run_tool, write_json

if TYPE_CHECKING:
    from mmaddp.evaluation.generation import GenerationMetrics
    from mmaddp.evaluation.generation_features import EncoderFeatures


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('images', nargs='?', help='folder of generated images')
    parser.add_argument(
        '--out-dir',
        type=Path,
        help='folder of the results and generated images; default: the folder of images',
    )
    add_metric_arguments(parser)
    add_model_arguments(parser.add_argument_group('to generate images'))
    add_launcher_arguments(parser)
    args = parser.parse_args(arguments)
    complete = args.config and args.checkpoint and args.out_dir
    if bool(args.images) == bool(args.config) or (args.config and not complete):
        parser.error('give a folder of images, or --config, --checkpoint and --out-dir')
    return args


def add_metric_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the metrics."""
    parser.add_argument(
        '--reference', required=True, help='folder of real images, or a .npz file of statistics'
    )
    parser.add_argument(
        '--reference-size',
        type=int,
        metavar='PIXELS',
        help='resize the short side of real images to this size and crop the center',
    )
    parser.add_argument(
        '--weights', help="torch-fidelity's weight file of Inception; default: downloaded"
    )
    parser.add_argument(
        '--vgg-weights', help='weights of VGG-16; computes precision and recall on its features'
    )
    parser.add_argument(
        '--encoder',
        nargs=3,
        metavar=('CONFIG', 'CHECKPOINT', 'LAYER'),
        help="measure a Fréchet distance in an encoder's features, not by Inception, such as "
        'configs/pretrain/darl/…py zoo://darl-toy block_2',
    )
    parser.add_argument(
        '--cache-dir',
        default='work_dirs/reference_statistics',
        help='cache for the statistics of real images (%(default)s)',
    )
    parser.add_argument('--batch-size', type=int, default=32, help='images per batch (%(default)s)')
    parser.add_argument(
        '--num-workers', type=int, default=2, help='worker processes per data loader (%(default)s)'
    )
    add_device_argument(parser)


def add_model_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the options of the model that generates the images."""
    group.add_argument('--config', help='a config of configs/pretrain')
    group.add_argument('--checkpoint', help='the weights of the model')
    group.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, default={}, metavar='KEY=VALUE'
    )
    group.add_argument(
        '--settings',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='NAME=V1,V2',
        help="values of the sampler's settings, such as steps=10,20 (its defaults)",
    )
    group.add_argument(
        '--num-images', type=int, default=50000, help='images per setting (%(default)s)'
    )
    group.add_argument('--seed', type=int, default=0, help='seed of all images (%(default)s)')


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a folder of images, or a grid of settings."""
    args = parse_args(arguments)
    from mmaddp.engine.runs import clear_errors

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with clear_errors():
        if args.images:
            measure_folder(args)
        else:
            measure_grid(args)


def build_metrics(args: argparse.Namespace) -> GenerationMetrics:
    """The metrics of the command line, with the statistics of its reference."""
    from mmengine.device import get_device

    from mmaddp.evaluation.generation import GenerationMetrics

    metrics = GenerationMetrics(
        args.reference,
        weights=args.weights,
        vgg_weights=args.vgg_weights,
        networks=build_features(args),
        cache_dir=args.cache_dir,
        reference_size=args.reference_size,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        device=args.device or get_device(),
    )
    print(f'reference: {metrics.reference.file}', flush=True)
    return metrics


def build_features(args: argparse.Namespace) -> EncoderFeatures | None:
    """The features that ``--encoder`` names."""
    if args.encoder is None:
        return None
    if args.weights or args.vgg_weights:
        raise UserError('--encoder takes the place of --weights and --vgg-weights: drop these')
    from mmengine.device import get_device

    from mmaddp.apis.exporting import load_encoder
    from mmaddp.checkpoints.files import sha256, weights_files
    from mmaddp.engine.runs import load_config
    from mmaddp.evaluation.generation_features import EncoderFeatures
    from mmaddp.zoo import located

    config, checkpoint, layer = args.encoder
    encoder = load_encoder(load_config(config), checkpoint)
    path = located(checkpoint)
    name = f'{path.stem}-{sha256(*weights_files(path))[:8]}'
    return EncoderFeatures(encoder, layer, name, args.device or get_device())


def measure_folder(args: argparse.Namespace) -> None:
    """Print the metrics of a folder of images and write them to ``metrics.json``."""
    from mmaddp.experiments.generation_metrics import metrics_table

    metrics = build_metrics(args)
    measured = {'folder': args.images, **metrics(args.images)}
    measured.update(reference=str(metrics.reference.file), networks=metrics.networks.name)
    path = Path(args.out_dir or args.images) / 'metrics.json'
    write_json(path, measured)
    print(f'\n{metrics_table([measured])}\n\nmetrics: {path}')


def measure_grid(args: argparse.Namespace) -> None:
    """Generate and measure every combination of settings."""
    from mmengine.dist import is_main_process

    from mmaddp.apis.models import load_pretrainer
    from mmaddp.engine.runner.launch import join_processes
    from mmaddp.engine.runs import load_config
    from mmaddp.experiments import generation_metrics as metrics

    join_processes(args.launcher)
    config = load_config(args.config, args.cfg_options)
    model = load_pretrainer(config, args.checkpoint, args.device)
    choices = [
        [{name: value} for value in (values if isinstance(values, list) else [values])]
        for name, values in args.settings.items()
    ]
    rows = metrics.evaluate_samplers(
        model,
        metrics.sampler_grid(model, *choices),
        build_metrics(args) if is_main_process() else None,
        args.out_dir,
        num_images=args.num_images,
        seed=args.seed,
        batch_size=args.batch_size,
    )
    if is_main_process():
        table, plot = args.out_dir / metrics.TABLE, args.out_dir / metrics.PLOT
        files = f'table: {table}\nplot: {plot}'
        print(f'\n{metrics.metrics_table(rows)}\n\n{files}')


if __name__ == '__main__':
    run_tool(main)
