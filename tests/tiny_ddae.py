"""DDAE with a UNet of two resolutions."""

from __future__ import annotations

from typing import Any

import torch

from mmaddp.models import DDAE
from mmaddp.registry import MODELS

SIDE = 8
UNET = dict(
    type='mmaddp.DDAEUNet',
    base_channels=32,
    channel_multipliers=(1, 1),
    attention_stages=(1,),
    num_blocks=1,
    dropout=0.0,
)
DDPM = dict(type='mmaddp.DDPM')
EDM = dict(type='mmaddp.EDM')


def ddae(network: dict | None = None, **settings: Any) -> dict:
    """Config of a tiny DDAE on images of 8 x 8 pixels, trained by DDPM unless told otherwise.

    ``network`` and ``settings`` replace options of the two.
    """
    return dict(
        type='mmaddp.DDAE',
        network=dict(UNET, **(network or {})),
        process=settings.pop('process', DDPM),
        img_size=SIDE,
        **settings,
    )


def augmented(**settings: Any) -> dict:
    """The same, trained by EDM with the augmentation of the paper."""
    return ddae(dict(augment_dim=9), process=EDM, augment=0.12, **settings)


def tiny_ddae(config: dict, seed: int = 0) -> DDAE:
    """The model with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return MODELS.build(config).eval()


def random_images(count: int = 2, seed: int = 1) -> torch.Tensor:
    """Images (count, 3, 8, 8) in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, SIDE, SIDE, generator=generator) * 2 - 1
