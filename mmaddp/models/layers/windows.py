"""Partition of a token grid into square windows, and back."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def window_partition(x: Tensor, window_size: int) -> Tensor:
    """Cut (B, h, w, C) into windows, padded by zeros at the right and the bottom.

    As in ViTDet, padding takes part in attention.

    Returns:
        (B * windows, window_size * window_size, C), windows in raster order.
    """
    h, w, channels = x.shape[1:]
    x = F.pad(x, (0, 0, 0, -w % window_size, 0, -h % window_size))
    # (B, rows, window_size, columns, window_size, C)
    x = x.unflatten(2, (-1, window_size)).unflatten(1, (-1, window_size))
    return x.transpose(2, 3).reshape(-1, window_size * window_size, channels)


def window_unpartition(windows: Tensor, window_size: int, grid: tuple[int, int]) -> Tensor:
    """Undo :func:`window_partition`, padding removed.

    Args:
        windows: (B * windows, window_size * window_size, C).
        window_size: Side of a window.
        grid: (h, w) before padding.

    Returns:
        (B, h, w, C).
    """
    # (B, rows, columns, window_size, window_size, C) -> (B, h, w, C)
    # Rounded up without negative numbers, which ONNX divides toward zero.
    rows, columns = ((side + window_size - 1) // window_size for side in grid)
    x = windows.reshape(-1, rows, columns, window_size, window_size, windows.shape[-1])
    x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return x[:, : grid[0], : grid[1]]
