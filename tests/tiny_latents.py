"""DDAE with a DiT over latents that anybody can work out by hand."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

from mmaddp.models import DDAE
from mmaddp.registry import MODELS

SIDE, STRIDE = 16, 2
DIT = dict(
    type='mmaddp.DDAEDiT',
    arch=dict(embed_dims=32, num_layers=3, num_heads=2),
    input_size=SIDE // STRIDE,
    patch_size=2,
    num_classes=3,
)
FROM_ZERO = dict(type='mmaddp.DDPM', num_timesteps=8, time_input='index')


@MODELS.register_module()
class MeansAutoencoder(BaseModule):
    """Latents are means of 2 x 2 pixels, three times as large, and the mean of the colors."""

    stride = STRIDE

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, 2 h, 2 w) -> (B, 4, h, w)."""
        pooled = 3 * F.avg_pool2d(images, STRIDE)
        return torch.cat([pooled, pooled.mean(1, keepdim=True)], dim=1)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, 4, h, w) -> (B, 3, 2 h, 2 w)."""
        return F.interpolate(latents[:, :3] / 3, scale_factor=STRIDE)


def latent_ddae(network: dict | None = None, **settings: Any) -> dict:
    """Config of the model, on images of 16 x 16 pixels; the two replace options."""
    parts = dict(
        type='mmaddp.DDAE',
        network=dict(DIT, **(network or {})),
        process=FROM_ZERO,
        autoencoder=dict(type='mmaddp.MeansAutoencoder'),
        img_size=SIDE,
    )
    return {**parts, **settings}


def build_latent(config: dict, seed: int = 0) -> DDAE:
    """The model, with random weights for what DiT begins with zeros in."""
    torch.manual_seed(seed)
    model = MODELS.build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def random_rgb_images(count: int = 2, seed: int = 1) -> Tensor:
    """Images (count, 3, 16, 16) in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, SIDE, SIDE, generator=generator) * 2 - 1
