"""Time a detector's training pipeline with and without the resizing of what its crop drops.

`whole` resizes whole images and masks as MMDetection does, `kept` only what the crop keeps. One
process loads the same images with the same random numbers in both forms, and compares them.

    COCO_DIR=data/coco python benchmarks/large_scale_jitter.py \
        configs/det/addp/mask-rcnn_addp-vit-b_sfp_8xb2-lsj-36e_coco-folder.py --batch-size 60
"""

from __future__ import annotations

import argparse
import copy

import cv2
import harness
import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, init_default_scope

from mmaddp.engine.runs import load_config
from mmaddp.utils import run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', help='a detector with RandomResize and RandomCrop')
    return harness.parse_arguments(parser, arguments, batch_size=20)


def build_dataset(config: Config, form: str) -> BaseDataset:
    """The training data of one form."""
    settings = copy.deepcopy(config.train_dataloader.dataset)
    resize = next(step for step in settings.pipeline if step.type == 'RandomResize')
    resize.resize_type = 'mmaddp.ResizeForCrop' if form == 'kept' else 'Resize'
    return DATASETS.build(settings)


def load(dataset: BaseDataset, number: int, args: argparse.Namespace) -> list[dict]:
    """One batch, with the random numbers of its number."""
    np.random.seed(number)
    first = number * args.batch_size
    return [dataset[i % len(dataset)] for i in range(first, first + args.batch_size)]


def largest_difference(one: list[dict], other: list[dict]) -> int:
    """Largest difference of two pixels in gray levels; masks must be equal."""
    for a, b in zip(one, other):
        masks = (x['data_samples'].gt_instances.masks.masks for x in (a, b))
        np.testing.assert_array_equal(*masks)
    pairs = ((a['inputs'].int(), b['inputs'].int()) for a, b in zip(one, other))
    return max(int((a - b).abs().max()) for a, b in pairs)


def main(arguments: list[str] | None = None) -> None:
    """Compare both forms."""
    args = parse_arguments(arguments)
    config = load_config(args.config)
    init_default_scope('mmdet')
    cv2.setNumThreads(1)
    datasets = {form: build_dataset(config, form) for form in ('whole', 'kept')}

    def run(form: str, number: int) -> harness.Seconds:
        watch = harness.Stopwatch('cpu')
        load(datasets[form], number, args)
        watch('load')
        return watch.seconds

    forms = {form: lambda number, form=form: run(form, number) for form in datasets}
    figures = harness.compare(forms, args)
    difference = largest_difference(*(load(each, 0, args) for each in datasets.values()))
    print(f'largest difference of a pixel: {difference} of 255')
    harness.write(args, figures)


if __name__ == '__main__':
    run_tool(main)
