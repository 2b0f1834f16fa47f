"""Patches of an image as tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# MAE adds this to the variance of a patch, so that a uniform one can be normalized.
VARIANCE_EPSILON = 1e-6


class PatchEmbed(nn.Module):
    """Linear embedding of square patches that do not overlap.

    Args:
        patch_size: Side of a patch in pixels.
        in_channels: Channels of the image.
        embed_dims: Channels C of a token.
    """

    def __init__(self, patch_size: int, in_channels: int, embed_dims: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(in_channels, embed_dims, patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Embed the patches.

        Args:
            images: (B, C_in, H, W), padded by zeros at the right and the bottom to whole patches.

        Returns:
            Tokens (B, h * w, C) in raster order, and the grid (h, w).
        """
        patches = self.proj(pad_to_multiples(images, self.patch_size))  # (B, C, h, w)
        return patches.flatten(2).transpose(1, 2), (patches.shape[2], patches.shape[3])


def pad_to_multiples(x: Tensor, side: int) -> Tensor:
    """Pad (..., H, W) by zeros at the right and the bottom to multiples of ``side``."""
    height, width = x.shape[-2:]
    # -n % s is what n lacks to the next multiple of s.
    return F.pad(x, (0, -width % side, 0, -height % side))


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """The pixels of each patch.

    Args:
        images: (B, C, H, W).
        patch_size: Side of a patch in pixels.

    Returns:
        (B, N, P): N = H/patch_size * W/patch_size patches in raster order, each with its
        P = patch_size * patch_size * C values by row, column and channel.
    """
    # (B, C, h, patch_size, w, patch_size) -> (B, h, w, patch_size, patch_size, C) -> (B, N, P)
    patches = images.unflatten(3, (-1, patch_size)).unflatten(2, (-1, patch_size))
    return patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def unpatchify(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Undo :func:`patchify`.

    Args:
        patches: (B, h * w, P).
        grid: (h, w).
        patch_size: Side of a patch in pixels.

    Returns:
        (B, C, h * patch_size, w * patch_size).
    """
    # (B, h, w, patch_size, patch_size, C) -> (B, C, h, patch_size, w, patch_size)
    pixels = patches.unflatten(2, (patch_size, patch_size, -1)).unflatten(1, grid)
    return pixels.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def patch_statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and std by which MAE normalizes each patch: (..., P) -> (..., 1) each."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return mean, (variance + VARIANCE_EPSILON).sqrt()
