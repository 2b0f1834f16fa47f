"""Pre-trainings of a second or two: DARL with a few patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from tiny_addp import RANDOM_TOKENIZER, pretraining

from mmaddp.models import DARL
from mmaddp.registry import MODELS

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2)
NOISE = dict(a=1.0, b=1.0)
TOKENIZER = dict(
    type='mmaddp.VQGAN',
    base_channels=32,
    embed_dims=16,
    num_embeddings=32,
    init_cfg=RANDOM_TOKENIZER,
)


def darl(backbone: dict | None = None, **settings: Any) -> dict:
    """Config of a tiny DARL on 4 x 4 patches of 4 pixels, or of 16 where it has a tokenizer.

    ``backbone`` and ``settings`` replace options of the two.
    """
    patch_size = 16 if 'tokenizer' in settings else 4
    sizes = dict(arch=ARCH, img_size=4 * patch_size, patch_size=patch_size)
    return dict(
        type='mmaddp.DARL', backbone=dict(type='mmaddp.DARLViT', **{**sizes, **(backbone or {})})
    ) | dict(settings)


def tiny_darl(seed: int = 0, **settings: Any) -> DARL:
    """The model with random weights, none of them zero."""
    torch.manual_seed(seed)
    model = MODELS.build(darl(**settings))
    model.init_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim <= 1 or not parameter.any():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def random_images(model: DARL, batch: int = 2, seed: int = 1) -> torch.Tensor:
    """Normalized images (B, 3, H, W) of the model's size, of pixels in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    side = model.backbone.grid[0] * model.backbone.patch_size
    images = torch.rand(batch, 3, side, side, generator=generator)
    return (images - model.mean) / model.std


def darl_pretraining(images: Path, work_dir: Path, **settings: Any) -> Config:
    """12 iterations of a tiny DARL on images of 32 x 32 pixels; as :func:`tiny_addp.pretraining`.

    ``settings`` are those of :func:`darl`.
    """
    config = pretraining(images, work_dir, by_epoch=False)
    config.model = darl(**settings)
    config.train_dataloader.dataset.pipeline[1].scale = config.model.backbone.img_size
    return config
