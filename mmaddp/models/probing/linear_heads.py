"""Linear classifiers of equal width, side by side."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn


class LinearHeads(BaseModule):
    """K linear layers in one batched product, each of which learns as it would alone.

    They start from zero, so that no layer's start depends on how many there are; the authors'
    are drawn as PyTorch does. The problem of each is convex.

    Args:
        num_heads: K.
        channels: C, of each layer's input.
        num_classes: Its outputs.
        batch_norm: Normalize inputs by the batch's statistics, without scale and shift, as MAE's
            linear probing does; DDAE's does not.
    """

    def __init__(
        self, num_heads: int, channels: int, num_classes: int, batch_norm: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_heads, channels, num_classes))
        self.bias = nn.Parameter(torch.zeros(num_heads, 1, num_classes))
        self.norm = (
            nn.BatchNorm1d(num_heads * channels, affine=False, eps=1e-6) if batch_norm else None
        )

    def forward(self, features: Tensor) -> Tensor:
        """Scores, (K, B, num_classes), of features (K, B, C)."""
        if self.norm is not None:
            side_by_side = features.transpose(0, 1).flatten(1)
            features = self.norm(side_by_side).unflatten(1, (len(features), -1)).transpose(0, 1)
        return torch.baddbmm(self.bias, features, self.weight)
