"""Ranges and normalizations of pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Configs of data preprocessors, from uint8 images in BGR to RGB.
IMAGES_TO_UNIT_RANGE = dict(
    type='ImgDataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=True
)
IMAGES_TO_SIGNED_RANGE = dict(
    type='ImgDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True
)
NORMALIZED_IMAGES = dict(
    type='ImgDataPreprocessor',
    mean=[255 * value for value in IMAGENET_MEAN],
    std=[255 * value for value in IMAGENET_STD],
    bgr_to_rgb=True,
)


def register_imagenet_statistics(module: nn.Module) -> None:
    """Give a module the buffers ``mean`` and ``std``, (1, 3, 1, 1), for images in [0, 1]."""
    for name, values in (('mean', IMAGENET_MEAN), ('std', IMAGENET_STD)):
        module.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)


def normalize(images: Tensor, encoder: nn.Module) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] as an encoder expects them, or else by ImageNet's values."""
    imagenet = dict(mean=NORMALIZED_IMAGES['mean'], std=NORMALIZED_IMAGES['std'])
    pixel_values = getattr(encoder, 'pixel_values', imagenet)
    mean, std = (images.new_tensor(pixel_values[k]).view(3, 1, 1) / 255 for k in ('mean', 'std'))
    return (images - mean) / std
