"""Sampling of any number of images in batches, from nothing or from known positions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmaddp.diffusion import ImageNoise
from mmaddp.models.inspection import evaluating
from mmaddp.models.pretrainers import ImageGenerator, Start
from mmaddp.utils import UserError, check_range

from .images import as_list, read_image, to_tensor, to_uint8


class Batch(NamedTuple):
    """Generated images.

    Attributes:
        numbers: Their indices in the request.
        images: (B, H, W, 3) uint8 RGB.
        views: The V views of each step, (B, steps, V, H, W, 3), if recorded.
    """

    numbers: list[int]
    images: np.ndarray
    views: np.ndarray | None


def sample_batches(
    model: ImageGenerator,
    start: Start,
    indices: Sequence[int],
    sampler: Any,
    seed: int,
    batch_size: int,
    record: bool = False,
) -> Iterator[Batch]:
    """Sample any number of images in batches with equally many masked positions.

    Args:
        model: The model.
        start: The start of each of M images.
        indices: Index of each image, which decides its noise together with the seed.
        sampler: A sampler of the model.
        seed: Seed of all images.
        batch_size: Batch size.
        record: Keep the views of all steps.

    Yields:
        Batches in order of their number of masked positions.
    """
    check_request(seed, batch_size)
    model.check_start(sampler, start.masked)
    device = next(model.parameters()).device
    counts = start.masked.sum(1)
    with evaluating(model), torch.no_grad():
        for count in counts.unique().tolist():
            for numbers in (counts == count).nonzero().flatten().split(batch_size):
                noise = ImageNoise(seed, [indices[number] for number in numbers.tolist()])
                views = []
                for step in model.sample_steps(sampler, start.select(numbers, device), noise):
                    if record:
                        views.append(to_uint8(model.step_views(step)))
                images = to_uint8(model.step_images(step))
                yield Batch(numbers.tolist(), images, np.stack(views, 1) if record else None)


def parse_settings(model: ImageGenerator, arguments: Sequence[str]) -> dict[str, Any]:
    """Settings of a model's sampler from a command line such as ``--steps 20 --no-clip``.

    Raises:
        UserError: The model's samplers have no such setting.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name, kind in model.setting_types.items():
        how = {'action': argparse.BooleanOptionalAction} if kind is bool else {'type': kind}
        option = f'--{name.replace("_", "-")}'
        parser.add_argument(option, dest=name, default=argparse.SUPPRESS, **how)
    settings, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = ', '.join(f'--{name.replace("_", "-")}' for name in model.setting_types)
        raise UserError(
            f'{unknown[0]}: the settings of {type(model).__name__} are {known or "none"}'
        )
    return vars(settings)


def in_order(batches: Iterator[Batch]) -> Any:
    """All images of :func:`sample_batches` in order of the request, with their views if any."""
    batches = list(batches)
    order = np.argsort(np.concatenate([batch.numbers for batch in batches]))
    images = np.concatenate([batch.images for batch in batches])[order]
    if batches[0].views is None:
        return images
    return images, np.concatenate([batch.views for batch in batches])[order]


@torch.no_grad()
def completion_start(
    model: ImageGenerator, images: np.ndarray, pixels: np.ndarray, batch_size: int
) -> Start:
    """The start of a completion.

    Args:
        model: The model.
        images: (M, H, W, 3) uint8.
        pixels: (M, H, W) bool. Positions with any True pixel are generated.
        batch_size: Batch size.
    """
    batches = batches_of(images, batch_size, model)
    known = torch.cat([model.known_values(batch).cpu() for batch in batches])
    return Start(known, model.masked_positions(pixels))


def read_masks(masks: Any, model: ImageGenerator, count: int) -> np.ndarray:
    """Masks of :func:`mmaddp.apis.inpaint` in pixels, (count, H, W) bool.

    Raises:
        UserError: A mask has another size than the images or their grid.
    """
    pixels = np.stack([mask_pixels(mask, model.side, model.stride) for mask in as_list(masks, 2)])
    return np.broadcast_to(pixels, (count, *pixels.shape[1:])).copy()


def mask_pixels(mask: Any, side: int, stride: int) -> np.ndarray:
    """One mask as (side, side) bool."""
    if isinstance(mask, np.ndarray) and mask.dtype == bool:
        mask = mask.astype(np.uint8) * 255
    values = read_image(mask, 'L') >= 128
    cells = side // stride
    if values.shape == (cells, cells):
        return values.repeat(stride, 0).repeat(stride, 1)
    if values.shape != (side, side):
        name = 'a mask' if isinstance(mask, np.ndarray) else mask
        raise UserError(
            f'{name}: {" x ".join(map(str, values.shape))}, but images have {side} x {side} '
            f'pixels and {cells} x {cells} positions: resize the mask to either'
        )
    return values


def batches_of(images: np.ndarray, batch_size: int, model: nn.Module) -> Iterator[Tensor]:
    """Images (M, H, W, 3) uint8 as batches (B, 3, H, W) in [0, 1] on the model's device."""
    check_range('batch_size', batch_size, 1)
    device = next(model.parameters()).device
    for start in range(0, len(images), batch_size):
        yield to_tensor(images[start : start + batch_size]).to(device)


def check_request(seed: int, batch_size: int) -> None:
    """Refuse a seed or a batch size out of range."""
    check_range('seed', seed, 0)
    check_range('batch_size', batch_size, 1)
