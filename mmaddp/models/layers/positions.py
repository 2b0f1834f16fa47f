"""Positions of tokens on a grid: absolute, and ViTDet's decomposed relative positions."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F


def interpolate_pos_embed(
    pos_embed: Tensor, grid: tuple[int, int], num_prefix_tokens: int = 0
) -> Tensor:
    """Resize learned absolute positions to another grid, bicubically.

    Args:
        pos_embed: (1, P + s * s, C): P prefix tokens, then a square grid in raster order.
        grid: (h, w) of the result.
        num_prefix_tokens: P, whose positions stay the same.

    Returns:
        (1, P + h * w, C).
    """
    prefix, patches = pos_embed.split(
        [num_prefix_tokens, pos_embed.shape[1] - num_prefix_tokens], dim=1
    )
    # Whole numbers for tracing, which takes sizes for tensors.
    size = math.isqrt(int(patches.shape[1]))
    if (size, size) == tuple(grid):
        return pos_embed
    # Interpolation is separable: rows (h, s) and columns (w, s) act one after the other.
    rows, columns = (resize_matrix(size, side, 'bicubic').to(patches) for side in grid)
    with full_precision(patches):
        patches = torch.einsum(
            'hi,wj,ijc->hwc', rows, columns, patches.unflatten(1, (size, size))[0]
        )
    return torch.cat([prefix, patches.flatten(0, 1)[None]], dim=1)


def full_precision(x: Tensor) -> AbstractContextManager:
    """A context without autocast; the meta device has no autocast."""
    device = x.device.type
    return nullcontext() if device == 'meta' else torch.autocast(device, enabled=False)


def sincos_pos_embed(coordinates: Tensor, embed_dims: int, base: float = 1e4) -> Tensor:
    """Sines and cosines of coordinates, the absolute positions of MAE.

    Args:
        coordinates: (N, 2), x and y from 0 on, in patches.
        embed_dims: Channels C, a multiple of 4.
        base: The longest wavelength over 2 pi, in patches.

    Returns:
        (N, C) float32: sin x, cos x, sin y, cos y of C / 4 frequencies each.
    """
    exponents = torch.arange(embed_dims // 4, device=coordinates.device) / (embed_dims // 4)
    angles = coordinates[..., None] * base**-exponents  # (N, 2, C / 4)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def resize_matrix(old: int, new: int, mode: str, align_corners: bool | None = None) -> Tensor:
    """The matrix (new, old) that resizes one axis as ``F.interpolate`` does.

    Interpolation is linear in the values. As a product of matrices its backward pass is
    deterministic on every device and keeps the precision of the parameters, unlike CUDA's kernels
    for interpolation.

    Args:
        old: Positions before.
        new: Positions after.
        mode: 'bicubic' or 'linear'.
        align_corners: As for ``F.interpolate``.
    """
    key = old, new, mode, align_corners
    if key not in _MATRICES:
        # The cached matrix must not carry the mode or the default device of this call.
        with torch.inference_mode(False):
            units = torch.eye(old, device='cpu')[None, None]
            if mode == 'linear':
                matrix = F.interpolate(units[0], new, mode=mode, align_corners=align_corners)[0].t()
            else:
                size = new, old
                matrix = F.interpolate(units, size, mode=mode, align_corners=align_corners)[0, 0]
        if type(matrix) is not Tensor:
            return matrix  # one of torch.export's, which has no values
        _MATRICES[key] = matrix
    return _MATRICES[key]


# Matrices by their arguments.
_MATRICES: dict[tuple[int, int, str, bool | None], Tensor] = {}


def resize_pos_embed(pos_embed: Tensor, shape: torch.Size) -> Tensor:
    """Resize a file's learned positions to another grid, and drop surplus prefix tokens.

    Args:
        pos_embed: (1, [1 +] s * s, C).
        shape: Shape of the result.

    Returns:
        Positions of ``shape``; unchanged if they do not form a square.
    """
    if pos_embed.ndim != 3:
        return pos_embed
    # The largest squares; what remains are prefix tokens.
    side, wanted = math.isqrt(pos_embed.shape[1]), math.isqrt(shape[1])
    prefix, kept = pos_embed.shape[1] - side * side, shape[1] - wanted * wanted
    if prefix > 1 or kept > prefix:
        return pos_embed
    return interpolate_pos_embed(pos_embed[:, prefix - kept :], (wanted, wanted), kept)


def resize_rel_pos(table: Tensor, shape: torch.Size) -> Tensor:
    """Resize a file's table of relative positions to another window or input size."""
    return interpolate_rel_pos(table, (shape[0] + 1) // 2) if table.ndim == 2 else table


def interpolate_rel_pos(table: Tensor, size: int) -> Tensor:
    """Resize a table of relative positions (2 * s - 1, C) linearly to (2 * size - 1, C)."""
    length = 2 * size - 1
    if table.shape[0] == length:
        return table
    with full_precision(table):
        return resize_matrix(len(table), length, 'linear').to(table) @ table


def relative_to_absolute(table: Tensor, size: int) -> Tensor:
    """Spread a table over the pairs of positions on one axis.

    Args:
        table: (2 * s - 1, C), entry ``i - j + s - 1`` for query position i and key position j.
        size: Number of positions; a table for another number is resized.

    Returns:
        (size, size, C): the entry for each pair (query, key).
    """
    table = interpolate_rel_pos(table, size)
    # Entry i - j + size - 1 at (i, j).
    positions = torch.arange(size, device=table.device)
    return table[positions[:, None] - positions[None, :] + size - 1]


def rel_pos_query_channels(
    q: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, grid: tuple[int, int]
) -> Tensor:
    """Products of the queries with both tables of decomposed relative positions.

    ViTDet adds ``q . R_h[i_h - j_h] + q . R_w[i_w - j_w]`` to the attention logits. With one-hot
    vectors of the key's row and column, the logits are a single scalar product::

        [q, q . R_h, q . R_w] . [k, onehot(j_h), onehot(j_w)]

    so a fused kernel computes them exactly, without an (N, N) bias. :func:`rel_pos_key_channels`
    gives the key's channels.

    Args:
        q: (B, heads, h * w, C), not yet scaled.
        rel_pos_h: (2 * s - 1, C) for rows; resized when s is not h.
        rel_pos_w: (2 * s - 1, C) for columns.
        grid: (h, w).

    Returns:
        (B, heads, h * w, h + w).
    """
    q = q.unflatten(2, grid)  # (B, heads, h, w, C)
    rel_h = torch.einsum('bnhwc,hkc->bnhwk', q, relative_to_absolute(rel_pos_h, grid[0]))
    rel_w = torch.einsum('bnhwc,wkc->bnhwk', q, relative_to_absolute(rel_pos_w, grid[1]))
    return torch.cat([rel_h, rel_w], dim=-1).flatten(2, 3)


def rel_pos_key_channels(grid: tuple[int, int], like: Tensor) -> Tensor:
    """One-hot row and column of each key: (h * w, h + w), in ``like``'s dtype and device."""
    h, w = grid
    # Float32 first: torch 2.1 has no torch.eye in bfloat16 on a CPU.
    rows = torch.eye(h, device=like.device).repeat_interleave(w, dim=0)
    columns = torch.eye(w, device=like.device).repeat(h, 1)
    return torch.cat([rows, columns], dim=1).to(like.dtype)
