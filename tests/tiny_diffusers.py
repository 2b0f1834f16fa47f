"""Small networks of the library diffusers with random weights, saved as folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

DIT = dict(
    num_attention_heads=2,
    attention_head_dim=16,
    num_layers=3,
    in_channels=4,
    out_channels=8,
    sample_size=8,
    patch_size=2,
    num_embeds_ada_norm=5,
    norm_eps=1e-6,
)
# The same for DDAEDiT.
OURS = dict(
    arch=dict(embed_dims=32, num_layers=3, num_heads=2),
    input_size=8,
    patch_size=2,
    num_classes=5,
)
# As google/ddpm-cifar10-32, with two resolutions.
UNET = dict(
    sample_size=8,
    block_out_channels=(32, 64),
    down_block_types=('DownBlock2D', 'AttnDownBlock2D'),
    up_block_types=('AttnUpBlock2D', 'UpBlock2D'),
    layers_per_block=1,
    attention_head_dim=None,
    norm_eps=1e-6,
    norm_num_groups=32,
    downsample_padding=0,
    flip_sin_to_cos=False,
    freq_shift=1,
)


def randomize(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights everywhere, also where the library begins with zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def save_dit(folder: Path, **settings: Any) -> nn.Module:
    """A DiT as the library converts the authors' files: its blocks share their embeddings.

    Of the embedding of the timestep the library takes other frequencies than the authors, who
    trained the weights; here it takes theirs.
    """
    diffusers = pytest.importorskip('diffusers')
    network = randomize(diffusers.DiTTransformer2DModel(**{**DIT, **settings}))
    shared = network.transformer_blocks[0].norm1.emb
    for block in network.transformer_blocks:
        block.norm1.emb.load_state_dict(shared.state_dict())
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    network.save_pretrained(folder)
    return network


def save_unet(folder: Path, **settings: Any) -> nn.Module:
    """A UNet2DModel."""
    diffusers = pytest.importorskip('diffusers')
    network = randomize(diffusers.UNet2DModel(**{**UNET, **settings}))
    network.save_pretrained(folder)
    return network
