"""A grid of patches as a sequence in some order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class SequencePositions(NamedTuple):
    """What tells the tokens of a sequence where they are, in the order of the sequence.

    Attributes:
        absolute: (1 or B, L, C), added to the embeddings; None where positions are rotary or none.
        phases: (1 or B, L, D / 2) complex, by which queries and keys turn; None where positions
            are absolute or none.
    """

    absolute: Tensor | None
    phases: Tensor | None

    def between(self, first: int, end: int) -> SequencePositions:
        """Those of the places ``first`` to ``end - 1``."""
        return SequencePositions(*(None if x is None else x[:, first:end] for x in self))

    def add_to(self, tokens: Tensor) -> Tensor:
        """Tokens (B, L, C) with absolute positions, if there are any."""
        return tokens if self.absolute is None else tokens + self.absolute


def in_order(x: Tensor, places: Tensor | None) -> Tensor:
    """Put a sequence in another order.

    Args:
        x: (1 or B, L, C).
        places: (L,), or (B, L) with one order for each image: entry k is the place in ``x`` of the
            k-th of the new order. None leaves them where they are.

    Returns:
        (1 or B, L, C).
    """
    if places is None:
        return x
    if places.ndim == 1:
        return x.index_select(1, places)
    return torch.take_along_dim(x, places[..., None], dim=1)


def inverse(order: Tensor) -> Tensor:
    """The permutation that undoes another one, (N,) or (B, N)."""
    return order.argsort(dim=-1)
