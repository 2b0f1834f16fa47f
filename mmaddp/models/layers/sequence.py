"""A grid of patches as a sequence: its order, and its positions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmaddp.utils import UserError, check_choice

# How (block row, row in it, block column, column in it) are nested, outermost first.
NESTINGS = {'nested-raster': (0, 2, 1, 3), 'round-robin': (1, 3, 0, 2)}


def patch_order(grid: tuple[int, int], kind: str = 'raster', block_size: int = 1) -> Tensor:
    """A fixed order of the patches of DARL's section 4.4.

    Two orders cut the grid into square blocks. 'nested-raster' goes through the blocks in raster
    order, and through each in raster order before the next. 'round-robin' takes the first patch of
    every block, then the second of every block, and so on. All orders end at the bottom right.

    Args:
        grid: (h, w) in patches.
        kind: 'raster', 'nested-raster' or 'round-robin'.
        block_size: Side of a block in patches; a raster order has no blocks and ignores it.

    Returns:
        (h * w,) int64 on the CPU: entry k is the raster index of the k-th patch of the order.

    Raises:
        UserError: An unknown ``kind``, or blocks that do not fill the grid.
    """
    h, w = grid
    raster = torch.arange(h * w, device='cpu')
    check_choice('order', kind, ('raster', *NESTINGS))
    if kind == 'raster':
        return raster
    if block_size < 1 or h % block_size or w % block_size:
        raise UserError(
            f'blocks of {block_size} x {block_size} patches do not fill a grid of {h} x {w}: set '
            'block_size to a divisor of both sides'
        )
    blocks = raster.view(h // block_size, block_size, w // block_size, block_size)
    return blocks.permute(NESTINGS[kind]).flatten()


class SequencePositions(NamedTuple):
    """What tells the tokens of a sequence where they are, in the order of the sequence.

    Attributes:
        absolute: (1 or B, L, C), added to the embeddings; None where positions are rotary or none.
        phases: (1 or B, L, D / 2) complex, rotary positions of queries and keys; None where
            positions are absolute or none.
    """

    absolute: Tensor | None
    phases: Tensor | None

    def between(self, first: int, end: int) -> SequencePositions:
        """The positions of tokens ``first`` to ``end - 1``."""
        return SequencePositions(*(None if x is None else x[:, first:end] for x in self))

    def add_to(self, tokens: Tensor) -> Tensor:
        """Tokens (B, L, C) with absolute positions, if there are any."""
        return tokens if self.absolute is None else tokens + self.absolute


def in_order(x: Tensor, permutation: Tensor | None) -> Tensor:
    """Put a sequence in another order.

    Args:
        x: (1 or B, L, C).
        permutation: (L,), or (B, L) with one for each image: entry k is the index in ``x`` of the
            k-th token of the new order. None keeps the order.

    Returns:
        (1 or B, L, C).
    """
    if permutation is None:
        return x
    if permutation.ndim == 1:
        return x.index_select(1, permutation)
    return torch.take_along_dim(x, permutation[..., None], dim=1)


def inverse(order: Tensor) -> Tensor:
    """The permutation that undoes another one, (N,) or (B, N)."""
    return order.argsort(dim=-1)
