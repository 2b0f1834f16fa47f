"""EDM's non-leaking augmentation: the network sees its labels, so samples do not show it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmaddp.utils import check_range

# Std of the binary logarithms of both scales, and of the shift over the image's side.
SCALE_STD, STRETCH_STD, SHIFT_STD = 0.2, 0.2, 0.125
ROTATED_AXIS = 0.5


class Moves(NamedTuple):
    """Transforms of B images: (B,) each, ``shift`` (B, 2) as x and y; 0 means none.

    ``flip_x`` and ``flip_y`` are 0 or 1; ``scale``, ``stretch`` and ``shift`` are in units of their
    std; ``angle`` and the ``axis`` of stretching are in radians.
    """

    flip_x: Tensor
    flip_y: Tensor
    scale: Tensor
    angle: Tensor
    stretch: Tensor
    axis: Tensor
    shift: Tensor


@dataclass(frozen=True)
class NonLeakingAugmentation:
    """EDM's geometric augmentation (Karras et al., 2022, appendix F.2 and its table 6).

    Half of all images are flipped left to right. Each other transform has the given probability:
    upside down (half of these), scale, rotation, stretching, shift. The labels are an input of the
    network, and 0 at generation.

    Labels, ranges and order are EDM's. Its code resamples with wavelet filters, ours bicubically.

    Args:
        probability: Probability of each transform but the first; DDAE takes 0.12.

    Raises:
        UserError: ``probability`` is not in [0, 1].
    """

    probability: float = 0.12

    label_dims = 9

    def __post_init__(self) -> None:
        check_range('augment', self.probability, 0, 1)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Augment images (B, 3, H, W) of any range; returns them and labels (B, 9)."""
        moves = self.sample(len(images), images.device)
        return move(images, moves), labels(moves)

    def sample(self, count: int, device: torch.device | str) -> Moves:
        """Random transforms of ``count`` images."""

        def normal(*shape: int) -> Tensor:
            return torch.randn(count, *shape, device=device)

        def angle() -> Tensor:
            return math.pi * (2 * torch.rand(count, device=device) - 1)

        def coin(probability: float) -> Tensor:
            return (torch.rand(count, device=device) < probability).float()

        chosen = self.probability
        return Moves(
            flip_x=coin(0.5),
            flip_y=coin(0.5 * chosen),
            scale=normal() * coin(chosen),
            angle=angle() * coin(chosen),
            stretch=normal() * coin(chosen),
            axis=angle() * coin(ROTATED_AXIS),
            shift=normal(2) * coin(chosen)[:, None],
        )


def labels(moves: Moves) -> Tensor:
    """Labels of the transforms for the network: (B, 9), 0 for none."""
    # Sines and cosines have no jump at 2 pi.
    columns = [
        moves.flip_x,
        moves.flip_y,
        moves.scale,
        moves.angle.cos() - 1,
        moves.angle.sin(),
        moves.stretch * moves.axis.cos(),
        moves.stretch * moves.axis.sin(),
        *moves.shift.unbind(1),
    ]
    return torch.stack(columns, dim=1)


def move(images: Tensor, moves: Moves) -> Tensor:
    """Flip, then scale, rotate, stretch and shift images (B, 3, H, W), reflected at their edges."""
    for flipped, side in ((moves.flip_x, 3), (moves.flip_y, 2)):
        images = torch.where(flipped.bool().view(-1, 1, 1, 1), images.flip(side), images)
    # Half precision would round coordinates to a pixel or two.
    with torch.autocast(images.device.type, enabled=False):
        grid = F.affine_grid(sources(moves, *images.shape[2:]), images.shape, align_corners=True)
        moved = F.grid_sample(
            images.float(), grid, mode='bicubic', padding_mode='reflection', align_corners=True
        )
    # Images that are only flipped keep their pixels.
    is_moved = labels(moves)[:, 2:].any(1).view(-1, 1, 1, 1)
    return torch.where(is_moved, moved.to(images.dtype), images)


def sources(moves: Moves, height: int, width: int) -> Tensor:
    """Affine maps (B, 2, 3) from output to input coordinates in [-1, 1], for ``affine_grid``."""
    # In pixels from the center, the source of p is S^-1 R(angle) A^-1 (p - shift), where A
    # stretches by 2^(STRETCH_STD w) along the axis and shrinks by as much across it.
    scale = (SCALE_STD * moves.scale).exp2()
    stretch = (STRETCH_STD * moves.stretch).exp2()
    # A^-1 = R(axis)^T diag(1 / stretch, stretch) R(axis).
    shrink = torch.diag_embed(torch.stack([1 / stretch, stretch], dim=1))
    stretched_back = rotation(-moves.axis) @ shrink @ rotation(moves.axis)
    linear = rotation(moves.angle) @ stretched_back / scale.view(-1, 1, 1)
    # From pixels to the coordinates of grid_sample, [-1, 1] between the outer pixels' centers.
    sides = linear.new_tensor([width, height])
    half = (sides - 1) / 2
    offset = -(linear @ (moves.shift * SHIFT_STD * sides)[..., None]) / half[:, None]
    return torch.cat([linear * half / half[:, None], offset], dim=2)


def rotation(angle: Tensor) -> Tensor:
    """Matrices (B, 2, 2) that rotate (x, y) by angles (B,)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], dim=-2)
