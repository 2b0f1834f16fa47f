r"""Measure generated images by FID, inception score, precision and recall.

A folder of images, from whatever model:

    python tools/evaluate_generation.py IMAGES_DIR --reference REAL_DIR

Settings of the sampler side by side, each generated and measured, in one table and plot:

    python tools/evaluate_generation.py --config CONFIG --checkpoint FILE --reference REAL_DIR \
        --out-dir DIR --steps 10 20 40 --schedule linear cosine --temperature 6 2 --static 6
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction
from mmengine.device import get_device
from mmengine.dist import is_main_process

from mmaddp.apis.models import load_pretrainer
from mmaddp.engine.explain import clear_errors
from mmaddp.engine.runner.launch import join_processes
from mmaddp.engine.setup import add_launcher_arguments, load_config
from mmaddp.evaluation.generation import GenerationMetrics
from mmaddp.experiments.generation_metrics import PLOT, TABLE, evaluate_samplers, sampler_grid
from mmaddp.experiments.generation_table import markdown_table
from mmaddp.utils import UserError, atomic_write, run_tool


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('images', nargs='?', help='folder of generated images')
    parser.add_argument(
        '--out-dir',
        type=Path,
        help='where results go, and images that are generated; default: the folder of images',
    )
    add_metric_arguments(parser)
    add_grid_arguments(parser.add_argument_group('to generate the images'))
    add_launcher_arguments(parser)
    return parser.parse_args(arguments)


def add_metric_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what decides how images are measured."""
    parser.add_argument(
        '--reference', required=True, help='folder of real images, or a .npz file of statistics'
    )
    parser.add_argument(
        '--reference-size',
        type=int,
        metavar='PIXELS',
        help='resize the short side of real images to this and cut the center',
    )
    parser.add_argument(
        '--weights', help="torch-fidelity's file of Inception's weights; default: downloaded"
    )
    parser.add_argument(
        '--vgg-weights', help='weights of VGG-16: precision and recall on its features'
    )
    parser.add_argument(
        '--cache-dir',
        default='work_dirs/reference_statistics',
        help='where statistics of real images are kept (%(default)s)',
    )
    parser.add_argument('--batch-size', type=int, default=32, help='images at once (%(default)s)')
    parser.add_argument('--num-workers', type=int, default=2, help='of each loader (%(default)s)')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, …; default: the GPU if there is one')


def add_grid_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the model and the settings of its sampler."""
    group.add_argument('--config', help='a config of configs/pretrain')
    group.add_argument('--checkpoint', help='the weights of its model')
    group.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE'
    )
    group.add_argument(
        '--steps',
        nargs='+',
        type=int,
        help="default: the sampler's, 20 of ADDP, 1000 of DARL, 100 or 18 of DDAE",
    )
    group.add_argument(
        '--sampler',
        nargs='+',
        help='DDAE: ddim, ancestral of DDPM, heun of EDM; default: ddim, heun',
    )
    group.add_argument(
        '--schedule', nargs='+', help='ADDP: linear, cosine or both; default: linear'
    )
    group.add_argument(
        '--temperature',
        nargs='+',
        type=float,
        help='ADDP: temperatures that decay, default: 6; DARL of tokens: of the softmax (1)',
    )
    group.add_argument('--static', nargs='+', type=float, help='ADDP: temperatures that stay')
    group.add_argument('--top-p', nargs='+', type=float, help='ADDP, DARL of tokens: default: 1')
    group.add_argument(
        '--eta', nargs='+', type=float, help='DARL: 1 is ancestral, 0 DDIM, default: 1; DDAE: 0'
    )
    group.add_argument(
        '--no-clip',
        dest='clip',
        action='store_const',
        const=[False],
        help='DARL, DDAE: leave predictions outside the range of pixels',
    )
    group.add_argument(
        '--num-images', type=int, default=50000, help='images of each setting (%(default)s)'
    )
    group.add_argument('--seed', type=int, default=0, help='seed of all images (%(default)s)')


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a folder of images, or a grid of settings."""
    args = parse_args(arguments)
    check_arguments(args)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with clear_errors():
        if args.images:
            measure_folder(args)
        else:
            measure_grid(args)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse a command line that means nothing."""
    if bool(args.images) == bool(args.config):
        raise UserError('name either a folder of images, or --config and --checkpoint')
    if args.config and not (args.checkpoint and args.out_dir):
        raise UserError('--config wants --checkpoint FILE and --out-dir DIR too')
    for name, least in (('batch_size', 1), ('num_workers', 0), ('reference_size', 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise UserError(f'--{name.replace("_", "-")} {value}: must be {least} or more')


def build_metrics(args: argparse.Namespace) -> GenerationMetrics:
    """The metrics of the command line, with the statistics of its reference."""
    metrics = GenerationMetrics(
        args.reference,
        weights=args.weights,
        vgg_weights=args.vgg_weights,
        cache_dir=args.cache_dir,
        reference_size=args.reference_size,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        device=args.device or get_device(),
    )
    print(f'reference: {metrics.reference.file}', flush=True)
    return metrics


def measure_folder(args: argparse.Namespace) -> None:
    """Print the metrics of a folder of images and write them to ``metrics.json``."""
    metrics = build_metrics(args)
    figures = {'folder': args.images, **metrics(args.images)}
    figures.update(reference=str(metrics.reference.file), networks=metrics.networks.name)
    path = Path(args.out_dir or args.images) / 'metrics.json'
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(figures, indent=2) + '\n')
    print(f'\n{markdown_table([figures])}\n\nmetrics: {path}')


def read_choices(args: argparse.Namespace) -> list[list[dict]]:
    """For each setting of the sampler that is given, its values."""
    temperatures = [dict(temperature=value) for value in args.temperature or ()]
    temperatures += [dict(temperature=value, decaying=False) for value in args.static or ()]
    names = ('sampler', 'schedule', 'top_p', 'eta', 'clip', 'steps')
    given = {name: getattr(args, name) for name in names}
    others = [[{name: value} for value in values] for name, values in given.items() if values]
    return [temperatures, *others] if temperatures else others


def measure_grid(args: argparse.Namespace) -> None:
    """Generate and measure every combination of settings."""
    join_processes(args.launcher)
    config = load_config(args.config, args.cfg_options)
    model = load_pretrainer(config, args.checkpoint, args.device)
    rows = evaluate_samplers(
        model,
        sampler_grid(model, *read_choices(args)),
        build_metrics(args) if is_main_process() else None,
        args.out_dir,
        num_images=args.num_images,
        seed=args.seed,
        batch_size=args.batch_size,
    )
    if is_main_process():
        files = f'table: {args.out_dir / TABLE}\nplot: {args.out_dir / PLOT}'
        print(f'\n{markdown_table(rows)}\n\n{files}')


if __name__ == '__main__':
    run_tool(main)
