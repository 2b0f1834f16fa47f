"""Helpers for visualization and evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.model import is_model_wrapper
from torch import Tensor, nn

GRAY = 0.5


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside a wrapper of several processes, or else the model itself."""
    return model.module if is_model_wrapper(model) else model


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, then back."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def gray_out(images: Tensor, mask: Tensor) -> Tensor:
    """Paint masked positions gray, as in ADDP's figure 8.

    Args:
        images: (B, 3, H, W) in [0, 1], of a square of tokens.
        mask: (B, N) bool, True at the positions to paint.

    Returns:
        (B, 3, H, W).
    """
    side = math.isqrt(mask.shape[1])
    grid = mask.float().view(-1, 1, side, side)
    return images.masked_fill(nn.functional.interpolate(grid, images.shape[-2:]).bool(), GRAY)
