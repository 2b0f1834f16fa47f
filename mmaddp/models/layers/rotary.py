"""Rotary position embedding of DARL: section 3.4 and appendix D."""

from __future__ import annotations

import torch
from torch import Tensor


def patch_coordinates(
    grid: tuple[int, int],
    pretrain_grid: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Coordinates of the patches of a grid.

    They count from 1, since the start token has position 0 (our choice). Other grids than the
    pre-training's are interpolated to the same extent (section 4.1).

    Args:
        grid: (h, w) in patches.
        pretrain_grid: (h, w) of the pre-training; ``grid`` when None.
        device: Where to compute them.

    Returns:
        (h * w, 2) float32 in raster order: x (column) and y (row), in patches of the pre-training.
    """
    rows, columns = (
        interpolated_positions(new, old, device) for new, old in zip(grid, pretrain_grid or grid)
    )
    y, x = torch.meshgrid(rows, columns, indexing='ij')
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def raster_coordinates(
    grid: tuple[int, int],
    pretrain_grid: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Coordinates in raster order, (h * w, 1) float32, for 1D RoPE.

    Arguments and interpolation are those of :func:`patch_coordinates`, with the sequence as the
    only axis.
    """
    (h, w), (old_h, old_w) = grid, pretrain_grid or grid
    return interpolated_positions(h * w, old_h * old_w, device)[:, None]


def interpolated_positions(
    length: int, pretrain_length: int, device: torch.device | str | None = None
) -> Tensor:
    """Centers of ``length`` positions over the extent of ``pretrain_length``, counted from 1.

    Returns:
        (length,) float32: ``(i + 0.5) * pretrain_length / length + 0.5``.
    """
    positions = torch.arange(length, dtype=torch.float32, device=device)
    return (positions + 0.5) * (pretrain_length / length) + 0.5


def rotary_angles(coordinates: Tensor, head_dims: int, base: float = 1e4) -> Tensor:
    """Angles by which pairs of channels are rotated.

    The axes share a head's channels evenly (section 3.4). The i-th pair of an axis with d channels
    has the frequency ``base ** (-2 i / d)``, as in appendix D, without the factor of 2 pi of
    section 3.4.

    Args:
        coordinates: (..., N, A), one for each of A axes.
        head_dims: Channels D of a head.
        base: The longest wavelength over 2 pi, in patches.

    Returns:
        (..., N, D / 2) in radians.
    """
    axes = coordinates.shape[-1]
    axis_dims = head_dims // axes
    # theta_i = base^(-2 i / d) for i = 0 .. d / 2 - 1.
    exponents = torch.arange(0, axis_dims, 2, device=coordinates.device) / axis_dims
    return (coordinates[..., None] * base**-exponents).flatten(-2)


def phase_factors(angles: Tensor) -> Tensor:
    """``exp(i m theta)`` of appendix D: radians (..., D / 2) -> complex.

    ONNX has no complex numbers: while exporting to it, cosines and then sines, (..., D).
    """
    if torch.onnx.is_in_onnx_export():
        return torch.cat([angles.cos(), angles.sin()], dim=-1)
    return torch.polar(torch.ones_like(angles), angles)


def apply_rotary(x: Tensor, phases: Tensor) -> Tensor:
    """Rotate pairs of neighboring channels, the product with the matrix R of section 3.4.

    Args:
        x: (..., D), real: queries or keys.
        phases: (..., D / 2), complex, from :func:`phase_factors`; broadcast with ``x``.

    Returns:
        As ``x``, in its precision.
    """
    # Always in full precision: half precision blurs distant positions.
    pairs = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(-1, (-1, 2))
    # The product of complex numbers of appendix D.
    if phases.is_complex():
        rotated = torch.view_as_real(torch.view_as_complex(pairs) * phases)
    else:
        (a, b), (cos, sin) = pairs.unbind(-1), phases.chunk(2, dim=-1)
        rotated = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1)
    return rotated.flatten(-2).to(x.dtype)
