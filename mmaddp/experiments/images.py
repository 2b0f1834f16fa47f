"""Images as NumPy arrays and files."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Union

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmaddp.datasets.image_files import read_image as read_image_file
from mmaddp.utils import UserError, atomic_write

PathOrArray = Union[str, os.PathLike, np.ndarray]
# One image or several: a path, an array (H, W, 3) or (N, H, W, 3), or a sequence of either.
Images = Union[PathOrArray, Sequence[PathOrArray]]


def read_images(images: Images, side: int | None = None) -> np.ndarray:
    """Images as one array.

    Args:
        images: Paths or uint8 RGB arrays of one size; a single one is a batch of one.
        side: Required height and width in pixels; any when None.

    Returns:
        (N, H, W, 3) uint8, RGB.

    Raises:
        UserError: An image has another size, shape or type.
    """
    loaded = [read_image(image) for image in as_list(images, 3)]
    height, width = loaded[0].shape[:2] if side is None else (side, side)
    for number, (given, image) in enumerate(zip(as_list(images, 3), loaded)):
        if image.shape[:2] != (height, width):
            name = f'image {number}' if isinstance(given, np.ndarray) else given
            whose = 'the first image has' if side is None else 'the model takes'
            raise UserError(
                f'{name}: {image.shape[0]} x {image.shape[1]} pixels, {whose} '
                f'{height} x {width}: resize or crop it'
            )
    return np.stack(loaded)


def as_list(images: Images, dimensions: int) -> list[PathOrArray]:
    """One image or several as a list; an array of ``dimensions`` is one image."""
    if isinstance(images, (str, os.PathLike)):
        return [images]
    if isinstance(images, np.ndarray) and images.ndim == dimensions:
        return [images]
    return list(images)


def read_image(image: PathOrArray, mode: str = 'RGB') -> np.ndarray:
    """An image (H, W, 3) uint8, or (H, W) with ``mode='L'``.

    Raises:
        UserError: A file cannot be read, or an array has another shape or type.
    """
    if not isinstance(image, np.ndarray):
        pixels = read_image_file(image)
        return pixels if mode == 'RGB' else np.asarray(Image.fromarray(pixels).convert(mode))
    shape = (*image.shape[:2], 3) if mode == 'RGB' else image.shape[:2]
    if image.dtype != np.uint8 or image.shape != shape:
        wanted = '(H, W, 3), RGB' if mode == 'RGB' else '(H, W)'
        raise UserError(f'image of {image.dtype} {image.shape}: give uint8 {wanted}')
    return image


def to_tensor(images: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def to_uint8(images: Tensor) -> np.ndarray:
    """(..., 3, H, W), about [0, 1] -> (..., H, W, 3) uint8, clamped."""
    return (images.float().clamp(0, 1) * 255).round().byte().movedim(-3, -1).cpu().numpy()


def tile(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Lay images out in rows.

    Args:
        images: (N, H, W, 3) uint8.
        columns: Images in a row; None gives about a square.

    Returns:
        (R H, C W, 3); missing images of the last row are black.
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    full = np.zeros((rows * columns, *images.shape[1:]), np.uint8)
    full[: len(images)] = images
    height, width = images.shape[1:3]
    grid = full.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, 3)


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) uint8 atomically."""
    with atomic_write(path) as temporary:
        Image.fromarray(image).save(temporary, format='PNG')
