"""Attention with ViTDet's decomposed relative positions, without all pairs of tokens in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .positions import rel_pos_key_channels, rel_pos_query_channels

# Fused half-precision kernels need channels in multiples of eight.
CHANNEL_MULTIPLE = 8
# Devices with the kernels of a CPU: the fused one needs values as wide as queries.
CPU_DEVICES = ('cpu',)
# Logits that are in memory at a time, few enough for a core's cache.
CHUNK_SIZE = 2**20

# Torch 2.1 has no such function, nor the export that needs it.
is_compiling = getattr(torch.compiler, 'is_compiling', lambda: False)


def rel_pos_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    grid: tuple[int, int],
) -> Tensor:
    """Attention whose logits have the terms of the relative positions added.

    Args:
        q: (B, heads, N, D), and ``k`` and ``v`` alike.
        rel_pos_h: (2 * s - 1, D), the table for rows.
        rel_pos_w: (2 * s - 1, D), the table for columns.
        grid: (h, w) with h * w = N.

    Returns:
        (B, heads, N, D).
    """
    inputs = (q, k, v, rel_pos_h, rel_pos_w, grid)
    # On a CPU, matrix products of a few queries are faster than its fused kernel with the extra
    # channels. They sum in the inputs' type, so half precision takes the kernel.
    is_full = q.dtype in (torch.float32, torch.float64)
    is_traced = torch.jit.is_tracing() or is_compiling()
    if q.device.type in CPU_DEVICES and is_full and not is_traced:
        return chunked_attention(*inputs)
    if torch.is_grad_enabled():
        # The extra channels are cheap to compute and large to keep: the backward pass recomputes
        # them.
        wide = checkpoint(
            add_rel_pos_channels, *inputs, use_reentrant=False, preserve_rng_state=False
        )
    else:
        wide = add_rel_pos_channels(*inputs)
    return F.scaled_dot_product_attention(*wide, scale=1.0)[..., : q.shape[-1]]


def add_rel_pos_channels(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    grid: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values for a fused kernel with a scale of 1.

    Arguments are those of :func:`rel_pos_attention`.

    Returns:
        (B, heads, N, E) queries and keys, E = D + h + w up to a multiple of eight, and values of
        D channels, or E on a CPU.
    """
    head_dims = q.shape[-1]
    padding = -(head_dims + sum(grid)) % CHANNEL_MULTIPLE
    q_rel = rel_pos_query_channels(q, rel_pos_h, rel_pos_w, grid).to(q.dtype)
    k_rel = rel_pos_key_channels(grid, like=k).expand(*k.shape[:2], -1, -1)
    # ViTDet does not scale its products with the tables, so q alone is scaled here.
    q = F.pad(torch.cat([q * head_dims**-0.5, q_rel], dim=-1), (0, padding))
    k = F.pad(torch.cat([k, k_rel], dim=-1), (0, padding))
    if q.device.type in CPU_DEVICES:
        v = F.pad(v, (0, q.shape[-1] - head_dims))
    return q, k, v


def chunked_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    grid: tuple[int, int],
) -> Tensor:
    """:func:`rel_pos_attention` for some queries at a time, by matrix products."""
    q_rel = rel_pos_query_channels(q, rel_pos_h, rel_pos_w, grid)
    inputs = (x.flatten(0, 1) for x in (q * q.shape[-1] ** -0.5, k, v, q_rel))
    return _ChunkedAttention.apply(*inputs, grid).unflatten(0, q.shape[:2])


class _ChunkedAttention(torch.autograd.Function):
    """softmax(q k^T + rows + columns) v; the backward pass computes the logits again."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, q_rel: Tensor, grid: tuple[int, int]
    ) -> Tensor:
        """Attend.

        Args:
            ctx: Keeps what the backward pass needs.
            q: (S, N, D), scaled, and ``k`` and ``v`` alike, S sequences.
            q_rel: (S, N, h + w), products with the tables, for each row and column of keys.
            grid: (h, w).

        Returns:
            As ``q``.
        """
        out, log_sum = torch.empty_like(q), q.new_empty(*q.shape[:2], 1)
        for chunk in _chunks(*q.shape[:2]):
            sequences, _ = chunk
            logits = _logits(q[chunk], k[sequences], q_rel[chunk], grid)
            largest = logits.amax(dim=-1, keepdim=True)
            # PyTorch's softmax takes several times as long as its parts.
            weights = logits.sub_(largest).exp_()
            total = weights.sum(dim=-1, keepdim=True)
            out[chunk] = torch.bmm(weights, v[sequences]).div_(total)
            log_sum[chunk] = largest + total.log()
        ctx.save_for_backward(q, k, v, q_rel, out, log_sum)
        ctx.grid = grid
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the inputs, as in FlashAttention (Dao et al., 2022, appendix B)."""
        q, k, v, q_rel, out, log_sum = ctx.saved_tensors
        d_out = d_out.contiguous()
        # sum_j P_ij dP_ij
        d_total = (d_out * out).sum(dim=-1, keepdim=True)
        # exp(logits - log_sum) are the weights: the term of the rows takes it.
        rows, columns = q_rel.split(ctx.grid, dim=-1)
        shifted = torch.cat([rows - log_sum, columns], dim=-1)
        dq, dq_rel = torch.empty_like(q), torch.empty_like(q_rel)
        dk, dv = torch.zeros_like(k), torch.zeros_like(v)
        for chunk in _chunks(*q.shape[:2]):
            sequences, _ = chunk
            weights = _logits(q[chunk], k[sequences], shifted[chunk], ctx.grid).exp_()
            dv[sequences].baddbmm_(weights.transpose(1, 2), d_out[chunk])
            d_weights = torch.bmm(d_out[chunk], v[sequences].transpose(1, 2))
            d_logits = d_weights.sub_(d_total[chunk]).mul_(weights)
            dk[sequences].baddbmm_(d_logits.transpose(1, 2), q[chunk])
            dq[chunk] = torch.bmm(d_logits, k[sequences])
            pairs = d_logits.unflatten(-1, ctx.grid)
            dq_rel[chunk] = torch.cat([pairs.sum(dim=-1), pairs.sum(dim=-2)], dim=-1)
        return dq, dk, dv, dq_rel, None


def _chunks(num_sequences: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Sequences and queries of each chunk: whole sequences if they are short."""
    queries = min(length, max(1, CHUNK_SIZE // length))
    sequences = max(1, CHUNK_SIZE // (length * queries))
    for first in range(0, num_sequences, sequences):
        for query in range(0, length, queries):
            yield slice(first, first + sequences), slice(query, query + queries)


def _logits(q: Tensor, k: Tensor, q_rel: Tensor, grid: tuple[int, int]) -> Tensor:
    """q k^T + rows + columns: (S, M, D), (S, N, D), (S, M, h + w) -> (S, M, N)."""
    rows, columns = q_rel.split(grid, dim=-1)
    terms = rows[..., :, None] + columns[..., None, :]  # (S, M, h, w)
    return terms.flatten(2).baddbmm_(q, k.transpose(1, 2))
