"""Patches of an image as a sequence: start token, order and positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers import (
    interpolate_pos_embed,
    patch_coordinates,
    patch_order,
    raster_coordinates,
    rotary_angles,
    sincos_pos_embed,
)
from ..layers.rotary import phase_factors
from ..layers.sequence import SequencePositions, in_order
from .plain_vit import PlainViT

COORDINATES = {'rope-2d': patch_coordinates, 'rope-1d': raster_coordinates}
POSITIONS = (*COORDINATES, 'sincos', 'learnable', 'none')


class SequenceViT(PlainViT):
    """A plain ViT whose tokens are a start token, then patches in some order.

    Args:
        pretrain_img_size: Input side in pixels, from whose grid positions are interpolated.
        positions: 'rope-2d' (section 3.4), 'rope-1d', 'sincos', 'learnable' or 'none'.
        rope_base: The longest wavelength of rotary positions over 2 pi, in patches.
        order: 'raster', 'nested-raster' or 'round-robin'.
        block_size: Side in patches of the blocks of ``order``.
        with_start_token: Prepend the start token.
        **plain: Arguments of :class:`PlainViT`.

    Attributes:
        grid: (h, w) of the pre-training.

    Raises:
        ValueError: As :class:`PlainViT`; or unknown ``positions`` or ``order``, patches or blocks
            of them that do not fill the image, or channels that positions cannot divide.
    """

    def __init__(
        self,
        pretrain_img_size: int,
        positions: str,
        rope_base: float,
        order: str,
        block_size: int,
        with_start_token: bool,
        **plain: Any,
    ) -> None:
        super().__init__(num_prefix_tokens=int(with_start_token), **plain)
        if positions not in POSITIONS:
            raise ValueError(f"positions '{positions}' are none of {', '.join(POSITIONS)}")
        self.positions, self.rope_base = positions, rope_base
        self.order, self.block_size = order, block_size
        self.patch_size = self.patch_embed.patch_size
        self.head_dims = self.embed_dims // self.arch['num_heads']
        self.grid = self.whole_grid((pretrain_img_size, pretrain_img_size))
        if with_start_token:
            self.start_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        if positions == 'learnable':
            length = self.num_prefix_tokens + self.grid[0] * self.grid[1]
            self.pos_embed = nn.Parameter(torch.zeros(1, length, self.embed_dims))
        # What cannot be computed for the pre-training's own grid is refused now.
        self.sequence_positions(self.grid, self.places(self.grid))

    def whole_grid(self, size: Sequence[int]) -> tuple[int, int]:
        """The grid of an image of (H, W) pixels.

        Raises:
            ValueError: Patches do not fill it.
        """
        height, width = size
        side = self.patch_size
        if height % side or width % side or not height or not width:
            raise ValueError(
                f'patches of {side} x {side} pixels do not fill an image of {height} x {width}: '
                f'resize or crop it to multiples of {side}, or set another patch_size'
            )
        return height // side, width // side

    def sequence_order(self, grid: tuple[int, int]) -> Tensor:
        """The backbone's own order, (N,) int64 on the CPU, see :func:`patch_order`."""
        return patch_order(grid, self.order, self.block_size)

    def places(self, grid: tuple[int, int], order: Tensor | None = None) -> Tensor | None:
        """Places in [start, raster] of the sequence's tokens; None where nothing is moved.

        Args:
            grid: (h, w) in patches.
            order: (N,) or (B, N); the backbone's own when None.

        Returns:
            ([1 +] N,) or (B, [1 +] N).
        """
        if order is None:
            if self.order == 'raster':
                return None
            order = self.sequence_order(grid)
        order = order.to(self.patch_embed.proj.weight.device)
        return F.pad(order + 1, (1, 0)) if self.num_prefix_tokens else order

    def with_start(self, tokens: Tensor) -> Tensor:
        """Prepend the start token, if there is one: (B, N, C) -> (B, [1 +] N, C)."""
        if not self.num_prefix_tokens:
            return tokens
        return torch.cat([self.start_token.expand(len(tokens), -1, -1), tokens], dim=1)

    def sequence_positions(
        self, grid: tuple[int, int], places: Tensor | None = None
    ) -> SequencePositions:
        """Positions of start token and patches, in the order of :meth:`places`."""
        ordered = (
            None if x is None else in_order(x, places)
            for x in (self.absolute_positions(grid), self.phases(grid, self.grid))
        )
        return SequencePositions(*ordered)

    def absolute_positions(self, grid: tuple[int, int]) -> Tensor | None:
        """Positions to be added, (1, [1 +] N, C) in raster order; the start token's come first."""
        if self.positions == 'learnable':
            return interpolate_pos_embed(self.pos_embed, grid, self.num_prefix_tokens)
        if self.positions == 'sincos':
            # MAE counts patches from 0, and its class token has zeros too.
            coordinates = patch_coordinates(grid, self.grid, self.patch_embed.proj.weight.device)
            absolute = sincos_pos_embed(coordinates - 1, self.embed_dims)
            return F.pad(absolute, (0, 0, self.num_prefix_tokens, 0))[None]
        return None

    def phases(self, grid: tuple[int, int], pretrain_grid: tuple[int, int]) -> Tensor | None:
        """Rotary positions, (1, [1 +] N, D / 2) in raster order; the start token does not turn."""
        if self.positions not in COORDINATES:
            return None
        coordinates = COORDINATES[self.positions](
            grid, pretrain_grid, self.patch_embed.proj.weight.device
        )
        coordinates = F.pad(coordinates, (0, 0, self.num_prefix_tokens, 0))
        return phase_factors(rotary_angles(coordinates, self.head_dims, self.rope_base))[None]
