"""Time one training step of a probe's whole grid beside one step of each of its cells alone.

A cell alone has a pass of the encoder that ends behind its layer. Reading images is left out; cells
alone would each do it once. 'banked' is a step of the grid whose features come from a bank.

    python benchmarks/probe_grid.py CONFIG --batch-size 32 --out probe.json
"""

from __future__ import annotations

import argparse
import copy
import tempfile

import harness
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample

import mmaddp  # noqa: F401
from mmaddp.engine.runs import load_config
from mmaddp.utils import run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', help='config of a probe')
    parser.add_argument('--img-size', type=int, default=32, help='side in pixels (%(default)s)')
    return harness.parse_arguments(parser, arguments, batch_size=32)


class Step:
    """Training steps of a probe of some layers and levels."""

    def __init__(self, config: Config, args: argparse.Namespace, **grid: list) -> None:
        settings = {**copy.deepcopy(config.model.to_dict()), 'pixels': None, **grid}
        settings['data_preprocessor'] = None
        self.model, self.args = MODELS.build(settings).to(args.device).train(), args
        self.optimizer = build_optim_wrapper(self.model, copy.deepcopy(config.optim_wrapper))
        generator = torch.Generator().manual_seed(0)
        shape = args.batch_size, 3, args.img_size, args.img_size
        self.images = torch.rand(shape, generator=generator).to(args.device)
        self.samples = [labeled(args.img_size).to(args.device) for _ in self.images]

    def __call__(self, number: int) -> harness.Seconds:
        """Seconds of the step."""
        watch = harness.Stopwatch(self.args.device)
        losses = self.model(self.images, self.samples, mode='loss')
        self.optimizer.update_params(losses['loss'])
        watch('step')
        return watch.seconds


def labeled(side: int) -> DataSample:
    """A sample with the labels of every task."""
    sample = DataSample().set_gt_label(0)
    sample.set_field(PixelData(data=torch.zeros(1, side, side, dtype=torch.long)), 'gt_sem_seg')
    sample.set_field(PixelData(data=torch.ones(1, side, side)), 'gt_depth_map')
    return sample


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_arguments(arguments)
    config = load_config(args.config)
    grid, cells = Step(config, args), []
    for cell in grid.model.cells:
        level = cell.level and [cell.level]
        cells.append(Step(config, args, layers=[cell.layer], levels=level))
        cells[-1].model.encoder = grid.model.encoder  # one encoder's weights in memory

    def alone(number: int) -> harness.Seconds:
        return dict(step=sum(cell(number)['step'] for cell in cells))

    print(f'{len(cells)} cells, a step of {args.batch_size} images')
    with tempfile.TemporaryDirectory() as folder:
        banked = Step(config, args, bank=dict(path=folder))
        banked.model.encoder = grid.model.encoder
        steps = {'alone': alone, 'grid': grid, 'banked': banked}
        figures = harness.compare(steps, args)
    harness.write(args, dict(figures, cells=len(cells)))


if __name__ == '__main__':
    run_tool(main)
