"""Attention of other libraries within windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


@dataclass
class Windows:
    """Windows of a grid of tokens, shared by all attentions of a network.

    Attributes:
        size: Side of a window in tokens. Windows at the right and the bottom may be smaller, so
            that there is no padding.
        grid: (h, w) of the image at hand.
    """

    size: int
    grid: tuple[int, int] = (0, 0)

    def regions(self) -> Iterator[Region]:
        """Parts of the grid that have windows of one shape: at most four."""
        for top, bottom, height in self.spans(self.grid[0]):
            for left, right, width in self.spans(self.grid[1]):
                yield Region(slice(top, bottom), slice(left, right), (height, width))

    def spans(self, side: int) -> list[tuple[int, int, int]]:
        """(start, end, size of a window) along a side."""
        whole = side // self.size * self.size
        return [s for s in ((0, whole, self.size), (whole, side, side - whole)) if s[1] > s[0]]


class Region(NamedTuple):
    """A part of the grid and the (h, w) of its windows."""

    rows: slice
    columns: slice
    window: tuple[int, int]

    def partition(self, x: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, windows, tokens, C), windows in raster order."""
        height, width = self.window
        x = x[:, self.rows, self.columns].unflatten(2, (-1, width)).unflatten(1, (-1, height))
        # (B, rows, columns, height, width, C)
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def merge(self, windows: Tensor) -> Tensor:
        """Undo :meth:`partition`: (B, windows, tokens, C) -> (B, h, w, C) of the region."""
        height, width = self.window
        columns = (self.columns.stop - self.columns.start) // width
        x = windows.unflatten(2, (height, width)).unflatten(1, (-1, columns))
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def positions(self, value: Any, grid: tuple[int, int], batch: int) -> Any:
        """Rotary positions of the grid as those of each window, by which attention multiplies.

        Args:
            value: (N, D), or (heads, N, D) behind any dimensions of 1, or a tuple of such.
                Anything else is returned.
            grid: (h, w) with h * w = N.
            batch: B.

        Returns:
            (B * windows, heads or 1, tokens, D).
        """
        if isinstance(value, (tuple, list)):
            return type(value)(self.positions(one, grid, batch) for one in value)
        if not isinstance(value, Tensor) or value.ndim < 2 or value.shape[-2] != grid[0] * grid[1]:
            return value
        whole = value.reshape(-1, *grid, value.shape[-1])  # (heads, h, w, D)
        return self.partition(whole).transpose(0, 1).repeat(batch, 1, 1, 1)


def attend_in_windows(attend: Any, x: Tensor, windows: Windows, *args: Any, **options: Any) -> Any:
    """Attention applied to each window alone.

    Tokens in front of the patches, such as the class token, take part in every window. Their
    outputs are averaged over the windows.

    Args:
        attend: The library's attention, for (B, P + N, C).
        x: (B, P + h * w, C).
        windows: The windows.
        *args: Further arguments of ``attend``; positions of the grid become those of a window.
        **options: As ``args``.

    Returns:
        As ``attend`` does.
    """
    grid, (batch, count) = windows.grid, x.shape[:2]
    prefix, patches = x.split([count - grid[0] * grid[1], grid[0] * grid[1]], dim=1)
    patches = patches.unflatten(1, grid)
    total, bands, number, is_tuple = torch.zeros_like(prefix), {}, 0, False
    for region in windows.regions():
        cut = region.partition(patches)  # (B, windows, tokens, C)
        each = prefix[:, None].expand(-1, cut.shape[1], -1, -1)
        result = attend(
            torch.cat([each, cut], dim=2).flatten(0, 1),
            *(region.positions(one, grid, batch) for one in args),
            **{k: region.positions(one, grid, batch) for k, one in options.items()},
        )
        is_tuple = isinstance(result, tuple)
        output = (result[0] if is_tuple else result).unflatten(0, (batch, -1))
        total = total + output[:, :, : prefix.shape[1]].sum(1)
        number += cut.shape[1]
        band = region.merge(output[:, :, prefix.shape[1] :])
        bands.setdefault(region.rows.start, []).append(band)
    merged = torch.cat([torch.cat(parts, dim=2) for parts in bands.values()], dim=1)
    output = torch.cat([total / number, merged.flatten(1, 2)], dim=1)
    return (output, None) if is_tuple else output


@cache
def windowed(kind: type[nn.Module]) -> type[nn.Module]:
    """A class of attention with windows; its parameters keep their names."""

    def forward(self: Any, *args: Any, **options: Any) -> Any:
        args = list(args)
        x = args.pop(0) if args else options.pop('hidden_states')
        attend = super(windowed(kind), self).forward
        return attend_in_windows(attend, x, self.windows, *args, **options)

    return type(f'Windowed{kind.__name__}', (kind,), {'forward': forward})
