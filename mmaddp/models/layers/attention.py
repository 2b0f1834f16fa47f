"""Multi-head self-attention over a grid of tokens, through PyTorch's fused kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .positions import rel_pos_key_channels, rel_pos_query_channels

# Fused half-precision kernels want channels in multiples of eight.
CHANNEL_MULTIPLE = 8


class Attention(nn.Module):
    """Self-attention of a plain vision transformer.

    Args:
        embed_dims: Channels C of a token.
        num_heads: Heads; must divide C.
        drop_rate: Dropout of the attention weights and of what the layer gives, in training.
        rel_pos_size: (h, w) of the grid for decomposed relative positions; None leaves them out.

    Raises:
        ValueError: ``num_heads`` does not divide ``embed_dims``, or there is dropout together with
            relative positions.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        drop_rate: float = 0.0,
        rel_pos_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if drop_rate and rel_pos_size is not None:
            raise ValueError(f'drop_rate {drop_rate}: there is no dropout with relative positions')
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims {embed_dims} is not a multiple of num_heads {num_heads}')
        self.num_heads = num_heads
        self.head_dims = embed_dims // num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.drop_rate, self.proj_drop = drop_rate, nn.Dropout(drop_rate)
        self.use_rel_pos = rel_pos_size is not None
        if rel_pos_size is not None:
            h, w = rel_pos_size
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * h - 1, self.head_dims))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * w - 1, self.head_dims))

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend within each sequence.

        Args:
            x: (B, N, C).
            grid: (h, w) of the tokens, h * w = N where relative positions are used.

        Returns:
            (B, N, C).
        """
        batch, length, channels = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.num_heads, self.head_dims)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.use_rel_pos:
            x = rel_pos_attention(q, k, v, self.rel_pos_h, self.rel_pos_w, grid)
        else:
            drop_rate = self.drop_rate if self.training else 0.0
            x = F.scaled_dot_product_attention(q, k, v, dropout_p=drop_rate)
        return self.proj_drop(self.proj(x.transpose(1, 2).reshape(batch, length, channels)))


def rel_pos_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    grid: tuple[int, int],
) -> Tensor:
    """Attention with decomposed relative positions as extra channels of queries and keys.

    Args:
        q: (B, heads, N, D), and ``k`` and ``v`` alike.
        rel_pos_h: (2 * s - 1, D), the table for rows.
        rel_pos_w: (2 * s - 1, D), the table for columns.
        grid: (h, w) with h * w = N.

    Returns:
        (B, heads, N, D).
    """
    head_dims = q.shape[-1]
    inputs = (q, k, v, rel_pos_h, rel_pos_w, grid)
    if torch.is_grad_enabled():
        # The extra channels are cheap to compute and large to keep: what their backward pass
        # needs is recomputed, so that only the kernel's own inputs stay in memory.
        q, k, v = checkpoint(
            add_rel_pos_channels, *inputs, use_reentrant=False, preserve_rng_state=False
        )
    else:
        q, k, v = add_rel_pos_channels(*inputs)
    return F.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :head_dims]


def add_rel_pos_channels(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    grid: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as the fused kernel takes them, with a scale of 1.

    ViTDet's products with the tables are not scaled, so the queries are scaled here. Arguments
    are those of :func:`rel_pos_attention`.

    Returns:
        (B, heads, N, E) queries and keys, E = D + h + w up to a multiple of eight, and values of
        D channels, or E on a CPU, whose fused kernel takes values as wide as queries only.
    """
    head_dims = q.shape[-1]
    padding = -(head_dims + sum(grid)) % CHANNEL_MULTIPLE
    q_rel = rel_pos_query_channels(q, rel_pos_h, rel_pos_w, grid).to(q.dtype)
    k_rel = rel_pos_key_channels(grid, like=k).expand(*k.shape[:2], -1, -1)
    q = F.pad(torch.cat([q * head_dims**-0.5, q_rel], dim=-1), (0, padding))
    k = F.pad(torch.cat([k, k_rel], dim=-1), (0, padding))
    if q.device.type == 'cpu':
        v = F.pad(v, (0, q.shape[-1] - head_dims))
    return q, k, v
