"""Dropout with random masks that are cheap on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# A 64-bit random number decides about four elements.
LEVELS, PER_DRAW = 2**16, 4


class Dropout(nn.Dropout):
    """``nn.Dropout``, with :func:`dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements in training, and scale the others up to keep the mean."""
        return dropout(x, self.p if self.training else 0.0)


def dropout(x: Tensor, p: float) -> Tensor:
    """``F.dropout``; on a CPU with 16 random bits for an element, and p rounded down to 2^-16.

    PyTorch's Bernoulli numbers take most of the time of a dropout there.
    """
    if not x.is_cpu or p in (0, 1):
        return F.dropout(x, p)
    num_dropped = int(p * LEVELS)
    draws = torch.empty(-(-x.numel() // PER_DRAW), dtype=torch.int64, device=x.device)
    # With no upper end, all 64 bits are random.
    bits = draws.random_(-(2**63), None).view(torch.int16)[: x.numel()].view(x.shape)
    kept = bits >= num_dropped - LEVELS // 2
    return x * kept.to(x.dtype).div_(1 - num_dropped / LEVELS)


def dropout_attention(q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0) -> Tensor:
    """``F.scaled_dot_product_attention``, with :func:`dropout` of the weights.

    Args:
        q: (B, heads, N, D), and ``k`` and ``v`` alike.
        dropout_p: Dropout of the weights.

    Returns:
        (B, heads, N, D).
    """
    # No fused kernel for CPUs has dropout.
    if not dropout_p or not q.is_cpu:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p)
    weights = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1)
    return dropout(weights, dropout_p) @ v
