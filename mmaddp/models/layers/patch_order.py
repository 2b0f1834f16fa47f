"""The orders in which a causal transformer reads the patches of an image."""

from __future__ import annotations

import torch
from torch import Tensor

# How (block row, row in it, block column, column in it) are nested, outermost first.
NESTINGS = {'nested-raster': (0, 2, 1, 3), 'round-robin': (1, 3, 0, 2)}


def patch_order(grid: tuple[int, int], kind: str = 'raster', block_size: int = 1) -> Tensor:
    """A fixed order of the patches of DARL's section 4.4.

    Both orders over blocks cut the grid into square blocks. 'nested-raster' goes through the
    blocks in raster order and finishes each, in raster order too, before the next. 'round-robin'
    takes one patch of each block in turn: every block's first, then every block's second, and so
    on. All orders end with the patch at the bottom right.

    Args:
        grid: (h, w) in patches.
        kind: 'raster', 'nested-raster' or 'round-robin'.
        block_size: Side of a block in patches; a raster order has no blocks and ignores it.

    Returns:
        (h * w,) int64 on the CPU: entry k is the raster index of the k-th patch of the order.

    Raises:
        ValueError: An unknown ``kind``, or blocks that do not fill the grid.
    """
    h, w = grid
    places = torch.arange(h * w, device='cpu')
    if kind == 'raster':
        return places
    if kind not in NESTINGS:
        raise ValueError(f"order '{kind}' is none of raster, {', '.join(NESTINGS)}")
    if block_size < 1 or h % block_size or w % block_size:
        raise ValueError(
            f'blocks of {block_size} x {block_size} patches do not fill a grid of {h} x {w}: set '
            'block_size to a divisor of both sides'
        )
    blocks = places.view(h // block_size, block_size, w // block_size, block_size)
    return blocks.permute(NESTINGS[kind]).flatten()
