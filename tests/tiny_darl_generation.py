"""DARLs that generate 16 x 16 pixels from 16 patches, with random weights."""

from __future__ import annotations

from typing import Any

import torch

from mmaddp.models import DARL
from mmaddp.registry import MODELS

ARCH = dict(embed_dims=32, num_layers=2, num_heads=2)
GRID, NUM_POSITIONS, SIDE = (4, 4), 16, 16
TOKENIZER = dict(
    type='mmaddp.VQGAN',
    base_channels=32,
    embed_dims=16,
    num_embeddings=8,
    init_cfg=dict(type='Xavier', layer='Conv2d', distribution='uniform'),
)


def diffusion(backbone: dict | None = None, **settings: Any) -> dict:
    """Config of a DARL that was trained by diffusion, as appendix F's."""
    decoder = dict(type='mmaddp.TransformerPatchDecoder', num_heads=2, condition_on_gamma=True)
    sizes = dict(img_size=SIDE, patch_size=4)
    parts = dict(
        type='mmaddp.DARL',
        backbone=dict(dict(type='mmaddp.DARLViT', arch=ARCH, **sizes), **(backbone or {})),
        patch_decoder=decoder,
        noise=dict(a=1.0, b=1.0),
    )
    return {**parts, **settings}


def mse(**settings: Any) -> dict:
    """Config of one that was trained by MSE."""
    return diffusion(**{**dict(patch_decoder=None, noise=None), **settings})


def any_order(**settings: Any) -> dict:
    """Config of one that was trained with random orders."""
    return diffusion(dict(two_stream=True), random_order=True, **settings)


def of_tokens(**settings: Any) -> dict:
    """Config of one that reads and predicts 4 x 4 VQ tokens."""
    sizes = dict(img_size=64, patch_size=16)
    kinds = dict(target='tokens', inputs='tokens', tokenizer=TOKENIZER)
    return mse(backbone=sizes, **kinds, **settings)


def build(config: dict, seed: int = 0, spread: float = 0.2) -> DARL:
    """The model; by the default its predictions differ much by place, and by rounding too."""
    torch.manual_seed(seed)
    model = MODELS.build(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith('tokenizer.'):
                parameter.add_(spread * torch.randn_like(parameter))
    return model.eval()
