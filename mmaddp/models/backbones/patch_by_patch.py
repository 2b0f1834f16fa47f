"""Sampling of a causal backbone patch by patch, each seen once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..layers import KVCache

if TYPE_CHECKING:
    from .darl_vit import DARLViT


class PatchByPatch:
    """The patches that are given so far, and what predicts the next.

    Args:
        backbone: The model.
        batch_size: B, images that are sampled together.
        grid: (h, w) in patches.
        order: As :meth:`DARLViT.predict_next` takes it.

    Attributes:
        place: Patches that are given, or the next one's index in the order.

    Raises:
        ValueError: As :meth:`DARLViT.predict_next`.
    """

    @torch.no_grad()
    def __init__(
        self,
        backbone: DARLViT,
        batch_size: int,
        grid: tuple[int, int],
        order: Tensor | None = None,
    ) -> None:
        if order is not None and order.ndim == 2 and torch.equal(order, order[:1].expand_as(order)):
            order = order[0]
        backbone.check_sequence(grid, order)
        self.backbone, self.grid, self.place = backbone, grid, 0
        self.num_patches = grid[0] * grid[1]
        self.positions = backbone.sequence_positions(grid, backbone.places(grid, order))
        self.caches = [KVCache(1 + self.num_patches) for _ in backbone.blocks]
        # Given, but not yet through the blocks. The last patch of all never needs to be.
        self.pending = backbone.start_token.expand(batch_size, -1, -1)
        self.features: Tensor | None = None

    @torch.no_grad()
    def next_features(self) -> Tensor:
        """z_t for the next patch, (B, C).

        Only what was given since the last call goes through the blocks.

        Raises:
            ValueError: All patches are given.
        """
        self.check_room(1)
        if self.features is None:
            self.features = self.backbone.run_causally(
                self.pending,
                self.positions,
                self.grid,
                first=self.place + 1 - self.pending.shape[1],
                num_queries=int(self.backbone.two_stream),
                caches=self.caches,
            )[:, -1]
            self.pending = self.pending[:, :0]
        return self.features

    def append(self, tokens: Tensor) -> None:
        """Give the next patches.

        Args:
            tokens: (B, C), or (B, k, C) for several, embedded, without positions.

        Raises:
            ValueError: They are more than are left.
        """
        tokens = tokens.detach() if tokens.ndim == 3 else tokens.detach()[:, None]
        self.check_room(tokens.shape[1])
        self.pending = torch.cat([self.pending, tokens], dim=1)
        self.place += tokens.shape[1]
        self.features = None

    def check_room(self, count: int) -> None:
        """Refuse more patches than are left."""
        if self.place + count > self.num_patches:
            raise ValueError(
                f'{self.place} of {self.num_patches} patches are given, so there is no room for '
                f'{count} more: start anew'
            )
