"""Rotary position embedding of DARL: section 3.4 and appendix D."""

from __future__ import annotations

import torch
from torch import Tensor


def patch_coordinates(
    grid: tuple[int, int],
    pretrain_grid: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Where the patches of a grid lie.

    They count from 1, since the start token has place 0 (our choice). For another grid than the
    pre-training's they are interpolated (section 4.1), so that both grids span the same extent.

    Args:
        grid: (h, w) in patches.
        pretrain_grid: (h, w) of the pre-training; ``grid`` when None.
        device: Where to compute them.

    Returns:
        (h * w, 2) float32 in raster order: x (column) and y (row), in patches of the pre-training.
    """
    rows, columns = (
        interpolated_places(new, old, device) for new, old in zip(grid, pretrain_grid or grid)
    )
    y, x = torch.meshgrid(rows, columns, indexing='ij')
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def raster_coordinates(
    grid: tuple[int, int],
    pretrain_grid: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Places in raster order, (h * w, 1) float32: what 1D RoPE knows of a patch's position.

    Arguments and interpolation are those of :func:`patch_coordinates`, for the whole sequence as
    one axis.
    """
    (h, w), (old_h, old_w) = grid, pretrain_grid or grid
    return interpolated_places(h * w, old_h * old_w, device)[:, None]


def interpolated_places(
    length: int, pretrain_length: int, device: torch.device | str | None = None
) -> Tensor:
    """Centers of ``length`` places over the extent of ``pretrain_length``, the first of which is 1.

    Returns:
        (length,) float32: ``(i + 0.5) * pretrain_length / length + 0.5``.
    """
    places = torch.arange(length, dtype=torch.float32, device=device)
    return (places + 0.5) * (pretrain_length / length) + 0.5


def rotary_angles(coordinates: Tensor, head_dims: int, base: float = 1e4) -> Tensor:
    """Angles by which the pairs of channels turn.

    The channels of a head are divided evenly among the axes, in the coordinates' order (section
    3.4). The i-th pair of an axis with d channels has the frequency ``base ** (-2 i / d)``
    (appendix D); a factor of 2 pi, which section 3.4 writes, is not applied, as appendix D has it.

    Args:
        coordinates: (..., N, A), one for each of A axes.
        head_dims: Channels D of a head.
        base: The longest wavelength over 2 pi, in patches.

    Returns:
        (..., N, D / 2) in radians.

    Raises:
        ValueError: The channels do not divide into pairs for each axis.
    """
    axes = coordinates.shape[-1]
    check_head_dims(head_dims, axes)
    axis_dims = head_dims // axes
    exponents = torch.arange(0, axis_dims, 2, device=coordinates.device) / axis_dims
    return (coordinates[..., None] * base**-exponents).flatten(-2)


def check_head_dims(head_dims: int, axes: int) -> None:
    """Refuse a head whose channels do not divide into pairs for each axis."""
    if head_dims % (2 * axes):
        raise ValueError(
            f'a head of {head_dims} channels cannot turn with {axes} coordinates: set embed_dims '
            f'to a multiple of num_heads * {2 * axes}'
        )


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn pairs of neighboring channels, the product with the matrix R of section 3.4.

    Args:
        x: (B, heads, N, D) queries or keys.
        angles: (N, D / 2), or (B, 1, N, D / 2) where each image has its own.

    Returns:
        As ``x``, in its precision.
    """
    return turn(x, phase_factors(angles))


def phase_factors(angles: Tensor) -> Tensor:
    """``exp(i m theta)`` of appendix D, which all blocks share: radians -> complex."""
    return torch.polar(torch.ones_like(angles), angles)


def turn(x: Tensor, phases: Tensor) -> Tensor:
    """:func:`rotate` as the product of complex numbers in appendix D.

    It is taken in full precision under autocast too, since half of it blurs distant places.

    Args:
        x: (..., D), real.
        phases: Complex, with D / 2 channels; the other axes broadcast with those of ``x``.
    """
    pairs = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(-1, (-1, 2))
    turned = torch.view_as_complex(pairs) * phases
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)
