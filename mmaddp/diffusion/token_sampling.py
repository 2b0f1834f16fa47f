"""Sampling of tokens, with equal results on every device."""

from __future__ import annotations

import torch
from torch import Tensor

# Integer sums do not depend on the order of addition, unlike float sums on a GPU.
FIXED_POINT = 2.0**50


def nucleus(probs: Tensor, top_p: float) -> Tensor:
    """Keep the fewest of the most probable codes that together reach ``top_p``.

    Args:
        probs: (..., K).
        top_p: In (0, 1]; 1 keeps all.

    Returns:
        (..., K), 0 for the other codes.
    """
    if top_p == 1:
        return probs
    ordered, order = (
        (probs.double() * FIXED_POINT).long().sort(dim=-1, descending=True, stable=True)
    )
    sums = ordered.cumsum(-1)
    # A code is kept if those before it have not reached top_p.
    kept = sums - ordered < top_p * sums[..., -1:].double()
    return probs * torch.zeros_like(kept).scatter(-1, order, kept)


def sample_codes(probs: Tensor, uniform: Tensor) -> Tensor:
    """Sample a code at each position by inverting the cumulative distribution.

    Args:
        probs: (B, N, K), in proportion to the probabilities.
        uniform: (B, N), float64 in [0, 1).

    Returns:
        (B, N), int64.
    """
    sums = (probs.double() * FIXED_POINT).long().cumsum(-1)
    # Inverse of the cumulative distribution at a uniform height.
    heights = (uniform[..., None] * sums[..., -1:]).long()
    return torch.searchsorted(sums, heights, right=True).squeeze(-1)
