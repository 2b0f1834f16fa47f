"""MaskGIT's convolutional encoder and decoder, between images and a coarser grid.

They differ from the paper's VQGAN: no attention, average pooling instead of strided convolutions,
residual blocks without biases, and a shortcut that acts on the block's own output.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers import upsample_and_convolve

BLOCKS_PER_LEVEL = 2


class Encoder(nn.Module):
    """Images (B, 3, H, W) to features (B, E, H/s, W/s), s = 2 ** (levels - 1).

    Args:
        widths: Channels of each level, the finest first.
        embed_dims: E.
        groups: Groups of the norms.
    """

    def __init__(self, widths: Sequence[int], embed_dims: int, groups: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList(
            Level(before, after, groups) for before, after in zip([widths[0], *widths], widths)
        )
        self.mid = Middle(widths[-1], groups)
        self.norm_out = group_norm(widths[-1], groups)
        self.conv_out = nn.Conv2d(widths[-1], embed_dims, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Encode images of values in [0, 1]; H and W are multiples of s."""
        if images.is_cpu:
            # Convolutions of maps with channels side by side are faster there.
            images = images.contiguous(memory_format=torch.channels_last)
        x = self.conv_in(images)
        for index, level in enumerate(self.down):
            x = level(F.avg_pool2d(x, 2) if index else x)
        return self.conv_out(norm_silu(self.norm_out, self.mid(x)))


class Decoder(nn.Module):
    """Embeddings (B, E, h, w) to images (B, 3, s h, s w), s = 2 ** (levels - 1).

    Args:
        widths: Channels of each level, the finest first.
        embed_dims: E.
        groups: Groups of the norms.
    """

    def __init__(self, widths: Sequence[int], embed_dims: int, groups: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(embed_dims, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], groups)
        # Index 0 is the finest level, as in the encoder.
        self.up = nn.ModuleList(
            Level(before, after, groups, upsample=index > 0)
            for index, (after, before) in enumerate(zip(widths, [*widths[1:], widths[-1]]))
        )
        self.norm_out = group_norm(widths[0], groups)
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)
        # A training starts from gray, not from black.
        nn.init.constant_(self.conv_out.bias, 0.5)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Decode to images of about [0, 1], not clamped."""
        x = self.mid(self.conv_in(embeddings))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(norm_silu(self.norm_out, x))


class Level(nn.Module):
    """The residual blocks of one resolution, optionally followed by upsampling."""

    def __init__(
        self, in_channels: int, out_channels: int, groups: int, upsample: bool = False
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            ResidualBlock(out_channels if index else in_channels, out_channels, groups)
            for index in range(BLOCKS_PER_LEVEL)
        )
        self.upsample = Upsample(out_channels) if upsample else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, h, w), or (B, C_out, 2 h, 2 w) with upsampling."""
        for block in self.block:
            x = block(x)
        return self.upsample(x)


class Middle(nn.Module):
    """Two residual blocks at the coarsest resolution."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels, groups)
        self.block_2 = ResidualBlock(channels, channels, groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return self.block_2(self.block_1(x))


class ResidualBlock(nn.Module):
    """Norm, SiLU and convolution twice, beside the identity."""

    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels, groups)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = group_norm(out_channels, groups)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        if in_channels != out_channels:
            self.nin_shortcut = nn.Conv2d(out_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, h, w)."""
        branch = self.conv1(norm_silu(self.norm1, x))
        branch = self.conv2(norm_silu(self.norm2, branch))
        # If the channels change, MaskGIT's shortcut takes the branch's output, not the block's
        # input. The published weights require it.
        if hasattr(self, 'nin_shortcut'):
            return self.nin_shortcut(branch).add_(branch)
        return branch.add_(x)


class Upsample(nn.Module):
    """Nearest-neighbor upsampling, then a 3 x 3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, 2 h, 2 w)."""
        return upsample_and_convolve(x, self.conv)


def init_convolutions(module: nn.Module) -> None:
    """Initialize convolutions to keep the variance of their input."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity='linear')
    # Blocks with an identity shortcut start as the identity: colors pass from the first step on.
    for layer in module.modules():
        if isinstance(layer, ResidualBlock) and not hasattr(layer, 'nin_shortcut'):
            nn.init.zeros_(layer.conv2.weight)


def norm_silu(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """SiLU(norm(x)), in the memory of the norm's output."""
    return F.silu(norm(x), inplace=True)


def group_norm(channels: int, groups: int) -> nn.GroupNorm:
    """The norm that all layers use."""
    return nn.GroupNorm(groups, channels, eps=1e-6)
