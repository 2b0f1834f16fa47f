"""Pre-trainings of a second or two: ADDP with a few tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from tiny_runs import classifier

from mmaddp.models import ADDP
from mmaddp.registry import MODELS

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2)
SIZES = dict(num_patches=16, num_embeddings=32)
# A training refuses frozen parts that nothing fills: these are random and say so.
RANDOM_TOKENIZER = dict(type='Xavier', layer='Conv2d', distribution='uniform')
RANDOM_PREDICTOR = dict(type='Xavier', layer='Linear', distribution='uniform')


def addp(img_size: int = 64, **settings: Any) -> dict:
    """Config of a tiny ADDP; ``settings`` replace its parts and options."""
    sizes = dict(SIZES, num_patches=(img_size // 16) ** 2)
    return dict(
        dict(
            type='mmaddp.ADDP',
            encoder=dict(type='mmaddp.ADDPViT', arch=ARCH, img_size=img_size, drop_rate=0.1),
            decoder=dict(type='mmaddp.ADDPDecoder', **ARCH, **sizes),
            tokenizer=dict(
                type='mmaddp.VQGAN',
                base_channels=32,
                embed_dims=16,
                num_embeddings=32,
                init_cfg=RANDOM_TOKENIZER,
            ),
            token_predictor=dict(
                type='mmaddp.MAGE',
                encoder=ARCH,
                decoder=ARCH,
                **sizes,
                init_cfg=RANDOM_PREDICTOR,
            ),
        ),
        **settings,
    )


def pretraining(images: Path, work_dir: Path, by_epoch: bool = True, **settings: Any) -> Config:
    """The tiny classifier's training with ADDP in its place, by its length, data and hooks.

    Images of 32 x 32 pixels, no validation, no EMA; AdamW as ADDP's configs group its parameters.
    ``settings`` are merged in by dotted key.
    """
    config = classifier(images, work_dir, by_epoch)
    config.model = addp(img_size=32)
    config.train_dataloader.dataset.pipeline[1].scale = 32
    config.train_cfg.pop('val_interval')
    for key in ('dataloader', 'evaluator', 'cfg'):
        config.pop(f'val_{key}')
        config.pop(f'test_{key}')
    config.optim_wrapper = dict(
        optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.05),
        clip_grad=dict(max_norm=3.0),
        constructor='mmaddp.WeightDecayOptimWrapperConstructor',
        paramwise_cfg=dict(flat_decay_mult=0.0),
    )
    config.custom_hooks = config.custom_hooks[1:]
    config.default_hooks.pop('data_check')
    config.merge_from_dict(settings)
    return config


def tiny_addp(seed: int = 0, **settings: Any) -> ADDP:
    """The model with random weights, none of them zero."""
    torch.manual_seed(seed)
    model = MODELS.build(addp(**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim <= 1 or not parameter.any():
                # Drawn place by place: randn_like draws in the order of memory.
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.eval()


def random_ids(batch: int = 2, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(32, (batch, 16), generator=generator)


def random_mask(masked: int, batch: int = 2, seed: int = 1) -> torch.Tensor:
    """``masked`` of the 16 places of each image."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(batch, 16, generator=generator).argsort(1)
    return places < masked
