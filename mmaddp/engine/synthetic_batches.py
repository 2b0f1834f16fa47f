"""Random batches of the kind a config's model trains on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from torch import nn

from mmaddp.engine.hooks.data_check_hook import find_head
from mmaddp.utils import UserError, check_choice

_BOXES_PER_IMAGE = 8
# Arguments of transforms that set the size of an image; the last one of a pipeline counts.
_SIZES = ('crop_size', 'scale', 'size')


def synthetic_batch(
    config: Config, model: nn.Module, batch_size: int, size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Random uint8 images (3, H, W) with random labels.

    Detection gets 8 boxes with masks per image, segmentation a label per pixel, classification a
    label per image, depth a depth per pixel. A training on VQ tokens gets their ids, int64
    (batch_size, N).

    Args:
        config: A config of any task.
        model: Its model.
        batch_size: Number of images.
        size: Height and width; those of the training pipeline when None.
    """
    size = size or training_size(config)
    makers = {'mmdet': _detection, 'mmseg': _segmentation, 'mmpretrain': _classification}
    scope = config.get('default_scope')
    check_choice('default_scope', scope, makers)
    generator = torch.Generator().manual_seed(0)
    head = find_head(model)
    classes = head.num_classes if head is not None else 1
    images = [
        torch.randint(0, 256, (3, *size), generator=generator).to(torch.uint8)
        for _ in range(batch_size)
    ]
    make = makers[scope]
    if any(hasattr(module, 'min_depth') for module in model.modules()):
        make = _depth
    samples = [make(size, classes, generator) for _ in images]
    if config.train_dataloader.dataset.type == 'mmaddp.VQTokenDataset':
        shape = batch_size, model.num_patches
        ids = torch.randint(0, model.tokenizer.num_embeddings, shape, generator=generator)
        return {'inputs': ids, 'data_samples': samples}
    return {'inputs': images, 'data_samples': samples}


def training_size(config: Config) -> tuple[int, int]:
    """Height and width of the images that the training pipeline gives.

    Raises:
        UserError: Neither the data nor the model says it.
    """
    dataset = config.train_dataloader.dataset
    transforms = list(dataset.get('pipeline', ()))
    while 'dataset' in dataset:
        dataset = dataset.dataset
        transforms = [*dataset.get('pipeline', ()), *transforms]
    # MMDetection's crops and every scale are (width, height), the other crops (height, width).
    crops_by_height = config.get('default_scope') != 'mmdet'
    for transform in reversed(transforms):
        key = next((key for key in _SIZES if transform.get(key)), None)
        if key is not None:
            height, width = _pair(transform[key])
            return (height, width) if key == 'crop_size' and crops_by_height else (width, height)
    networks = [config.model.get(name) or {} for name in ('backbone', 'encoder')]
    for part in (dataset, *networks, config.model):
        size = next((part[key] for key in ('size', 'img_size') if part.get(key)), None)
        if size is not None:
            return _pair(size)
    raise UserError('no transform of train_dataloader and no img_size tells the size of images')


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _meta(size: tuple[int, int]) -> dict[str, Any]:
    return {
        'img_shape': size,
        'ori_shape': size,
        'pad_shape': size,
        'batch_input_shape': size,
        'scale_factor': (1.0, 1.0),
        'img_path': '',
    }


def _detection(size: tuple[int, int], classes: int, generator: torch.Generator) -> Any:
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    height, width = size
    corners = torch.rand(_BOXES_PER_IMAGE, 2, generator=generator) * 0.5
    extents = 0.1 + torch.rand(_BOXES_PER_IMAGE, 2, generator=generator) * 0.4
    boxes = torch.cat([corners, corners + extents], 1) * torch.tensor([width, height] * 2)
    masks = np.zeros((_BOXES_PER_IMAGE, height, width), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.long().tolist()):
        mask[top:bottom, left:right] = 1
    labels = torch.randint(0, classes, (_BOXES_PER_IMAGE,), generator=generator)
    sample = DetDataSample(metainfo=_meta(size))
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(boxes), labels=labels, masks=BitmapMasks(masks, height, width)
    )
    sample.ignored_instances = InstanceData(bboxes=HorizontalBoxes(boxes[:0]), labels=labels[:0])
    return sample


def _segmentation(size: tuple[int, int], classes: int, generator: torch.Generator) -> Any:
    from mmseg.structures import SegDataSample

    labels = torch.randint(0, classes, (1, *size), generator=generator)
    sample = SegDataSample(metainfo=_meta(size))
    sample.gt_sem_seg = PixelData(data=labels)
    return sample


def _depth(size: tuple[int, int], classes: int, generator: torch.Generator) -> Any:
    from mmseg.structures import SegDataSample

    sample = SegDataSample(metainfo=_meta(size))
    meters = 1 + 9 * torch.rand(1, *size, generator=generator)
    sample.gt_depth_map = PixelData(data=meters)
    return sample


def _classification(size: tuple[int, int], classes: int, generator: torch.Generator) -> Any:
    from mmpretrain.structures import DataSample

    label = int(torch.randint(0, classes, (1,), generator=generator))
    return DataSample(metainfo=_meta(size)).set_gt_label(label)
