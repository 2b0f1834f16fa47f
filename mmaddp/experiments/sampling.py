"""Batches of images through a sampler, from nothing or from known positions."""

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

    ``numbers`` are their indices in the request, ``images`` (B, H, W, 3) uint8 RGB. ``views``
    (B, steps, V, H, W, 3), if recorded, are the V views of each step.
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
    """Run the sampler over any number of images, in batches that mask equally many positions.

    Args:
        model: The model.
        start: The start of each of M images.
        indices: The index of each of the M images within its seed.
        sampler: A sampler of the model.
        seed: Seed of all images.
        batch_size: Images at once.
        record: Whether to give the views of all steps.

    Yields:
        Each batch when it is done.
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


def parse_settings(model: ImageGenerator, words: Sequence[str]) -> dict[str, Any]:
    """Settings of a model's sampler from a command line such as ``--steps 20 --no-clip``.

    Raises:
        UserError: An option is no setting of the model's samplers.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name, kind in model.setting_types.items():
        how = {'action': argparse.BooleanOptionalAction} if kind is bool else {'type': kind}
        option = f'--{name.replace("_", "-")}'
        parser.add_argument(option, dest=name, default=argparse.SUPPRESS, **how)
    settings, unknown = parser.parse_known_args(words)
    if unknown:
        known = ', '.join(f'--{name.replace("_", "-")}' for name in model.setting_types)
        raise UserError(
            f'{unknown[0]}: the settings of {type(model).__name__} are {known or "none"}'
        )
    return vars(settings)


def in_order(batches: Iterator[Batch]) -> Any:
    """All images of :func:`sample_batches` in the order of the request, with their views if any."""
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
    """The start of images that are to be completed.

    Args:
        model: The model.
        images: (M, H, W, 3) uint8.
        pixels: (M, H, W) bool, True where to generate: all positions with such a pixel.
        batch_size: Images at once.
    """
    batches = batches_of(images, batch_size, model)
    known = torch.cat([model.known_values(batch).cpu() for batch in batches])
    return Start(known, model.masked_positions(pixels))


def read_masks(masks: Any, model: ImageGenerator, count: int) -> np.ndarray:
    """Masks as :func:`mmaddp.apis.inpaint` takes them, in pixels: (count, H, W) bool.

    Raises:
        UserError: A mask cannot be read, or size or number of the masks do not fit.
    """
    given = as_list(masks, 2)
    if len(given) not in (1, count):
        raise UserError(f'{len(given)} masks for {count} images: give one, or one for each')
    side, stride = model.side, model.stride
    pixels = [mask_pixels(mask, side, stride) for mask in given]
    return np.broadcast_to(np.stack(pixels), (count, side, side)).copy()


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
    """(M, H, W, 3) uint8 as tensors (B, 3, H, W) in [0, 1] where the model is."""
    check_range('batch_size', batch_size, 1)
    device = next(model.parameters()).device
    for start in range(0, len(images), batch_size):
        yield to_tensor(images[start : start + batch_size]).to(device)


def check_request(seed: int, batch_size: int) -> None:
    """Refuse a seed or a batch size out of range."""
    check_range('seed', seed, 0)
    check_range('batch_size', batch_size, 1)
