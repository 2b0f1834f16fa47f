"""A grid of patches as a sequence: order and positions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmaddp.utils import check_choice

# Nesting of the axes (block row, row in block, block column, column in block), outermost first.
NESTINGS = {'nested-raster': (0, 2, 1, 3), 'round-robin': (1, 3, 0, 2)}


def patch_order(grid: tuple[int, int], kind: str = 'raster', block_size: int = 1) -> Tensor:
    """A fixed order of the patches of DARL's section 4.4.

    'nested-raster' and 'round-robin' cut the grid into square blocks. The former completes a block
    before the next. The latter takes the first patch of every block, then the second of every
    block, and so on. All orders end at the bottom right.

    Args:
        grid: (h, w) in patches.
        kind: 'raster', 'nested-raster' or 'round-robin'.
        block_size: Side of a block in patches; unused by 'raster'.

    Returns:
        (h * w,) int64 on the CPU: entry k is the raster index of the k-th patch of the order.

    Raises:
        UserError: An unknown ``kind``.
        RuntimeError: Blocks do not fill the grid.
    """
    h, w = grid
    raster = torch.arange(h * w, device='cpu')
    check_choice('order', kind, ('raster', *NESTINGS))
    if kind == 'raster':
        return raster
    # (block row, row in block, block column, column in block)
    blocks = raster.view(h // block_size, block_size, w // block_size, block_size)
    return blocks.permute(NESTINGS[kind]).flatten()


class SequencePositions(NamedTuple):
    """Positions of the tokens of a sequence, in its order.

    Attributes:
        absolute: (1 or B, L, C), added to the embeddings, or None.
        phases: (1 or B, L, D / 2) complex, rotary positions of queries and keys, or None.
    """

    absolute: Tensor | None
    phases: Tensor | None

    def between(self, first: int, end: int) -> SequencePositions:
        """The positions of tokens ``first`` to ``end - 1``."""
        return SequencePositions(*(None if x is None else x[:, first:end] for x in self))

    def add_to(self, tokens: Tensor) -> Tensor:
        """Add absolute positions, if there are any, to tokens (B, L, C)."""
        return tokens if self.absolute is None else tokens + self.absolute


def in_order(x: Tensor, permutation: Tensor | None) -> Tensor:
    """Reorder a sequence.

    Args:
        x: (1 or B, L, C).
        permutation: (L,) or (B, L): entry k is the index in ``x`` of the new k-th token. None keeps
            the order.

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
