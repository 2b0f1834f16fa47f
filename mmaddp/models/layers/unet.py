"""Layers of the UNets that denoise images, in DDPM's and DDPM++'s variants."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .upsampling import upsample_and_convolve
from .windows import window_partition, window_unpartition

GROUPS = 32
# The longest wavelength of the time embedding over 2 pi, in units of time.
MAX_PERIOD = 10_000


class TimeEmbedding(nn.Module):
    """Noise level and augmentation as one vector for all residual blocks.

    Args:
        base_channels: C, channels of the sinusoids.
        augment_dim: Length of the augmentation labels; 0 leaves their embedding out.
    """

    def __init__(self, base_channels: int, augment_dim: int = 0) -> None:
        super().__init__()
        self.base_channels = base_channels
        # Without a bias, all-zero labels are no augmentation (EDM's map_augment).
        self.augment = nn.Linear(augment_dim, base_channels, bias=False) if augment_dim else None
        self.fc1 = nn.Linear(base_channels, 4 * base_channels)
        self.fc2 = nn.Linear(4 * base_channels, 4 * base_channels)

    def forward(self, time: Tensor, augment: Tensor | None = None) -> Tensor:
        """Embed noise levels.

        Args:
            time: (B,), in the units of the pre-training.
            augment: (B, augment_dim), or None for images without augmentation.

        Returns:
            (B, 4 C), after the SiLU that every residual block would begin with.
        """
        embedding = sinusoids(time, self.base_channels).to(self.fc1.weight.dtype)
        if augment is not None:
            # (B, augment_dim) -> (B, C), added before the MLP
            embedding = embedding + self.augment(augment)
        return F.silu(self.fc2(F.silu(self.fc1(embedding))))


def sinusoids(time: Tensor, channels: int) -> Tensor:
    """Sines, then cosines, of frequencies from 1 to 1 / MAX_PERIOD: (B,) -> (B, channels)."""
    half = channels // 2
    # MAX_PERIOD^(-i / (half - 1)) for i = 0 .. half - 1
    indices = torch.arange(half, dtype=torch.float32, device=time.device)
    frequencies = torch.exp(-math.log(MAX_PERIOD) / (half - 1) * indices)
    angles = time.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ResBlock(nn.Module):
    """Norm, SiLU and convolution twice, with the time embedding added in between, and a shortcut.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        time_dims: Channels of the time embedding.
        dropout: Probability, in front of the second convolution.
        resample: 'down' halves the sides by average pooling and 'up' doubles them by nearest
            neighbors, in the branch and in the shortcut; empty keeps them.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_dims: int,
        dropout: float = 0.0,
        resample: str = '',
    ) -> None:
        super().__init__()
        self.upsamples, self.resample = resample == 'up', resampling(resample)
        self.norm1 = nn.GroupNorm(GROUPS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time_dims, out_channels)
        self.norm2 = nn.GroupNorm(GROUPS, out_channels)
        self.drop = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        widens = in_channels != out_channels
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if widens else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C_in, h, w) and the time embedding (B, time_dims) -> (B, C_out, h', w')."""
        branch = F.silu(self.norm1(x))
        if self.upsamples:
            branch = upsample_and_convolve(branch, self.conv1)
        else:
            branch = self.conv1(self.resample(branch))
        # The time embedding is after its SiLU already. (B, C_out) -> (B, C_out, 1, 1)
        branch = branch + self.time(embedding)[..., None, None]
        branch = self.conv2(self.drop(F.silu(self.norm2(branch))))
        return self.shortcut(self.resample(x)) + branch


def resampling(kind: str) -> nn.Module:
    """Average pooling for 'down', nearest neighbors for 'up', nothing for an empty string."""
    if kind == 'down':
        return nn.AvgPool2d(2)
    return nn.Upsample(scale_factor=2) if kind == 'up' else nn.Identity()


class SpatialAttention(nn.Module):
    """Attention among all positions of a map, with one head and a residual connection.

    With windows, positions attend within their own window. Pre-training saw no padding, so the
    padding of the last windows is masked, unlike ViTDet's.

    Args:
        channels: C.
        window_size: Side of a window in positions; None for the whole map.
    """

    def __init__(self, channels: int, window_size: int | None = None) -> None:
        super().__init__()
        self.window_size = window_size
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        grid = x.shape[-2:]
        if self.window_size is None or max(grid) <= self.window_size:
            # (B, C, h, w) -> (B, h * w, C) and back
            tokens = self.attend(self.norm(x).flatten(2).transpose(1, 2))
            return x + tokens.transpose(1, 2).unflatten(2, grid)
        # (B, C, h, w) -> (B, h, w, C) -> (B * windows, window_size^2, C)
        windows = window_partition(self.norm(x).permute(0, 2, 3, 1), self.window_size)
        windows = self.attend(windows, is_inside_map(x, self.window_size))
        return x + window_unpartition(windows, self.window_size, grid).permute(0, 3, 1, 2)

    def attend(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention within sequences: (B, N, C) and a mask of keys (B, 1, 1, N) -> (B, N, C)."""
        # One head as an axis of its own: the fused kernels need four axes.
        q, k, v = self.qkv(tokens)[:, None].chunk(3, dim=-1)
        return self.proj(F.scaled_dot_product_attention(q, k, v, mask).squeeze(1))


def is_inside_map(x: Tensor, window_size: int) -> Tensor | None:
    """Tell the positions of a map from the padding of its windows.

    Args:
        x: (B, C, h, w).
        window_size: Side of a window.

    Returns:
        (B * windows, 1, 1, window_size * window_size), bool; None without padding.
    """
    if not any(side % window_size for side in x.shape[-2:]):
        return None
    inside = window_partition(x.new_ones(1, *x.shape[-2:], 1, dtype=torch.bool), window_size)
    # (windows, S, 1) -> (windows, 1, 1, S), once for each image
    return inside.transpose(1, 2)[:, None].repeat(len(x), 1, 1, 1)


class UNetBlock(nn.Module):
    """A residual block, then attention if the resolution has it.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        time_dims: Channels of the time embedding.
        dropout: See :class:`ResBlock`.
        with_attention: Whether there is attention.
        attention_window: See ``window_size`` of :class:`SpatialAttention`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_dims: int,
        dropout: float = 0.0,
        with_attention: bool = False,
        attention_window: int | None = None,
    ) -> None:
        super().__init__()
        self.res = ResBlock(in_channels, out_channels, time_dims, dropout)
        self.attn = nn.Identity()
        if with_attention:
            self.attn = SpatialAttention(out_channels, attention_window)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C_in, h, w) and the time embedding (B, time_dims) -> (B, C_out, h, w)."""
        return self.attn(self.res(x, embedding))


class Downsample(nn.Module):
    """A convolution of stride 2; the noise level has no effect."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C, h, w), h and w even -> (B, C, h/2, w/2)."""
        return self.conv(x)


class Upsample(nn.Module):
    """Nearest neighbors, then a convolution; the noise level has no effect."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, 2 h, 2 w)."""
        return upsample_and_convolve(x, self.conv)
