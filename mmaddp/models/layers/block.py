"""The pre-norm transformer block, global or windowed."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import DropPath, Mlp
from torch import Tensor, nn

from .attention import Attention
from .windows import window_partition, window_unpartition


class LayerScale(nn.Module):
    """Learned factors of a residual branch's channels (CaiT, DINOv2).

    Args:
        embed_dims: Channels C of a token.
        init_value: Initial value of all factors.
    """

    def __init__(self, embed_dims: int, init_value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dims,), init_value))

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of (B, N, C)."""
        return x * self.gamma


class Block(nn.Module):
    """Attention and MLP, each behind a LayerNorm and with a residual connection.

    Args:
        embed_dims: Channels C of a token.
        num_heads: Attention heads.
        mlp_ratio: Width of the MLP over C.
        drop_rate: Dropout of attention weights and of both branches' layers, in training.
        drop_path_rate: Probability that a sample skips a branch in training.
        window_size: Side of the attention windows in tokens; 0 attends globally.
        rel_pos_size: (h, w) of the grid, or window, for relative positions; None for none.
        two_stream: Whether attention has a query stream.
        layer_scale_init_value: Initial factors of both branches' channels; 0 for no factors.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        window_size: int = 0,
        rel_pos_size: tuple[int, int] | None = None,
        two_stream: bool = False,
        layer_scale_init_value: float = 0.0,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.attn = Attention(embed_dims, num_heads, drop_rate, rel_pos_size, two_stream)
        # DINOv2's checkpoints have factors, MAE's and ADDP's none.
        self.ls1, self.ls2 = (
            LayerScale(embed_dims, layer_scale_init_value)
            if layer_scale_init_value
            else nn.Identity()
            for _ in range(2)
        )
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.mlp = Mlp(embed_dims, int(embed_dims * mlp_ratio), drop=drop_rate)

    def forward(
        self, x: Tensor, grid: tuple[int, int], wanted: Tensor | None = None, **options: Any
    ) -> Tensor:
        """Transform a sequence.

        Args:
            x: (B, N, C); N = h * w with windows.
            grid: (h, w).
            wanted: (B, N) bool, the positions to return, of a last block; all when None.
            **options: Further arguments of :meth:`Attention.forward`; with windows, for a window.

        Returns:
            As ``x``, or (M, C), the M wanted positions of the batch.
        """
        # Pre-norm: x + f(LN(x)), so that the residual path has no norm.
        x = x + self.drop_path(self.ls1(self.attend(self.norm1(x), grid, **options)))
        x = x if wanted is None else x[wanted]
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))

    def attend(self, x: Tensor, grid: tuple[int, int], **options: Any) -> Tensor:
        """Attention over the whole grid or within its windows: (B, N, C) -> (B, N, C)."""
        if not self.window_size:
            return self.attn(x, grid, **options)
        # (B, N, C) -> (B, h, w, C) -> (B * windows, window_size^2, C) and back
        windows = window_partition(x.unflatten(1, grid), self.window_size)
        windows = self.attn(windows, (self.window_size, self.window_size), **options)
        return window_unpartition(windows, self.window_size, grid).flatten(1, 2)
