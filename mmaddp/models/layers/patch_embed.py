"""Patches of an image as tokens."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


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
            images: (B, C_in, H, W); padded by zeros at the right and the bottom up to whole
                patches.

        Returns:
            Tokens (B, h * w, C) in raster order, and the grid (h, w).
        """
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % self.patch_size, 0, -height % self.patch_size))
        patches = self.proj(images)
        return patches.flatten(2).transpose(1, 2), (patches.shape[2], patches.shape[3])
