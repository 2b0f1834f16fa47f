"""A model that generates 64 x 64 pixels from 16 tokens, with random weights."""

from __future__ import annotations

from typing import Any

import torch

from mmaddp.models import ADDP
from mmaddp.registry import MODELS

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2)
NUM_CODES, NUM_POSITIONS = 32, 16


def model_settings(**settings: Any) -> dict:
    """Config of the model; ``settings`` replace its parts and options."""
    sizes = dict(num_patches=NUM_POSITIONS, num_embeddings=NUM_CODES)
    tokenizer = dict(base_channels=32, embed_dims=16, num_embeddings=NUM_CODES)
    parts = dict(
        type='mmaddp.ADDP',
        encoder=dict(type='mmaddp.ADDPViT', arch=ARCH, img_size=64),
        decoder=dict(type='mmaddp.ADDPDecoder', **ARCH, **sizes),
        tokenizer=dict(type='mmaddp.VQGAN', **tokenizer),
    )
    return {**parts, **settings}


def tiny_generator(seed: int = 0, **settings: Any) -> ADDP:
    """The model; what it learns is random enough for its predictions to differ by place."""
    torch.manual_seed(seed)
    model = MODELS.build(model_settings(**settings))
    with torch.no_grad():
        for part in (model.encoder, model.decoder):
            for parameter in part.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def random_ids(batch: int = 2, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(NUM_CODES, (batch, NUM_POSITIONS), generator=generator)


def random_mask(masked: int, batch: int = 2, seed: int = 1) -> torch.Tensor:
    """``masked`` of the places of each image."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, NUM_POSITIONS, generator=generator).argsort(1) < masked
