"""Compare probing a whole grid in one training with probing each of its cells alone.

One training step of the grid against the sum of one step of each cell, on the same batch; a cell
alone too has a pass that ends behind its layer. Grid and cells take turns, so that a busy machine
slows both. Reading images is left out: alone, it would be done once for each cell.

    python tools/analysis_tools/benchmark_probe.py CONFIG --batch-size 32 --out probe.json
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

import mmaddp  # noqa: F401
from mmaddp.apis.benchmark import now
from mmaddp.apis.probing import check_probe
from mmaddp.engine.explain import clear_errors
from mmaddp.engine.setup import add_config_arguments, load_config
from mmaddp.models import GridProbe
from mmaddp.utils import UserError, atomic_write, run_tool


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('--img-size', type=int, default=32, help='side in pixels (%(default)s)')
    parser.add_argument('--batch-size', type=int, default=32, help='images at once (%(default)s)')
    parser.add_argument('--runs', type=int, default=3, help='steps of each that count')
    parser.add_argument('--warmup', type=int, default=1, help='steps before that do not')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out', help='write the figures to this JSON file too')
    return parser.parse_args(arguments)


class Step:
    """The training step of a probe of some layers and levels."""

    def __init__(self, config: Config, device: str, **grid: list) -> None:
        settings = {**copy.deepcopy(config.model.to_dict()), 'pixels': None, **grid}
        self.model: GridProbe = MODELS.build(settings).to(device).train()
        self.optimizer = build_optim_wrapper(self.model, copy.deepcopy(config.optim_wrapper))

    def __call__(self, images: Tensor, samples: list[DataSample]) -> float:
        """Seconds that it takes."""
        device = str(images.device)
        began = now(device)
        self.optimizer.update_params(self.model(images, samples, mode='loss')['loss'])
        return now(device) - began


def compare(config: Config, args: argparse.Namespace) -> dict:
    """Median seconds of the grid's step and of all cells' steps alone, and their ratio."""
    grid = Step(config, args.device)
    cells = []
    for cell in grid.model.cells:
        levels = cell.level and [cell.level]
        cells.append(Step(config, args.device, layers=[cell.layer], levels=levels))
        # All have the weights of one encoder in memory.
        cells[-1].model.encoder = grid.model.encoder
    images = torch.rand(args.batch_size, 3, args.img_size, args.img_size, device=args.device)
    samples = [DataSample().set_gt_label(0).to(args.device) for _ in images]
    seconds: dict[str, list[float]] = {'grid': [], 'alone': []}
    for number in range(args.warmup + args.runs):
        taken = dict(
            grid=grid(images, samples),
            alone=sum(cell(images, samples) for cell in cells),
        )
        if number >= args.warmup:
            for name, value in taken.items():
                seconds[name].append(value)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = medians['alone'] / medians['grid']
    return dict(cells=len(cells), seconds=seconds, medians=medians, ratio=ratio)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_args(arguments)
    for name, least in (('batch_size', 1), ('runs', 1), ('warmup', 0)):
        if getattr(args, name) < least:
            raise UserError(f'--{name.replace("_", "-")}: must be {least} or more')
    config = load_config(args.config, args.cfg_options)
    check_probe(config)
    with clear_errors(config):
        figures = compare(config, args)
    print(f'{figures["cells"]} cells, a step of {args.batch_size} images')
    print(f'grid  {figures["medians"]["grid"]:.3f} s')
    print(f'alone {figures["medians"]["alone"]:.3f} s')
    print(f'the grid is x{figures["ratio"]:.1f} faster')
    if args.out:
        with atomic_write(args.out) as temporary:
            settings = {**vars(args), 'model': config.model.to_dict()}
            temporary.write_text(json.dumps({**settings, **figures}, indent=2) + '\n')


if __name__ == '__main__':
    run_tool(main)
