"""The images of a training, without augmentation."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch.utils.data import Subset

from mmaddp.engine.data import GuardedDataset
from mmaddp.utils import check_range


def training_images(
    config: Config, img_size: int, num_images: int | None = None, seed: int = 0
) -> Subset:
    """The training images of a config without augmentation.

    Args:
        config: A config with a ``train_dataloader``.
        img_size: Side of the resized and cropped images in pixels.
        num_images: Size of a random subset; all when None.
        seed: Seed of the subset.
    """
    init_default_scope(config.get('default_scope') or 'mmaddp')
    settings = copy.deepcopy(config.train_dataloader.dataset)
    settings['pipeline'] = still_pipeline(settings.pipeline, img_size)
    dataset = GuardedDataset(settings, 'train_dataloader.dataset')
    count = len(dataset) if num_images is None else num_images
    check_range('--num-images', count, 2, len(dataset))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset), generator=generator)
    return Subset(dataset, order[:count].sort().values.tolist())


def still_pipeline(pipeline: Sequence[dict], img_size: int) -> list[dict]:
    """The loading and packing steps of a pipeline, with resize and center crop in between."""
    names = [step['type'].rsplit('.', 1)[-1] for step in pipeline]
    loading = [step for step, name in zip(pipeline, names) if name.startswith('Load')]
    packing = [step for step, name in zip(pipeline, names) if name.startswith('Pack')]
    resize = dict(
        type='mmpretrain.ResizeEdge', scale=img_size, edge='short', interpolation='bicubic'
    )
    return [*loading, resize, dict(type='mmpretrain.CenterCrop', crop_size=img_size), *packing]
