"""Batches of images through a sampler, from nothing or from known places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmaddp.diffusion import ImageNoise
from mmaddp.experiments.images import as_list, read_image, to_pictures, to_tensor
from mmaddp.models.inspection import evaluating
from mmaddp.utils import UserError

from .generators import ImageGenerator, Start


class Batch(NamedTuple):
    """Images as they are generated.

    ``places`` are their positions in the request, ``images`` (B, H, W, 3) uint8 RGB. ``views``
    (B, steps, V, H, W, 3), if asked for, are the V pictures of each step: of ADDP x_t, whole and
    with its reliable tokens alone (figure 8); of DARL the image after each row of patches.
    """

    places: list[int]
    images: np.ndarray
    views: np.ndarray | None


def sample(
    generator: ImageGenerator,
    start: Start,
    indices: Sequence[int],
    sampler: Any,
    seed: int,
    batch_size: int,
    record: bool = False,
) -> Iterator[Batch]:
    """Run the sampler over any number of images, in batches that mask equally many places.

    Args:
        generator: The model.
        start: Where each of M images starts from.
        indices: The index of each of the M images in its seed.
        sampler: Of ``generator.sampler_type``.
        seed: Seed of all images.
        batch_size: Images at once.
        record: Whether to give the views of all steps.

    Yields:
        Each batch as it is done.
    """
    check_request(seed, batch_size)
    generator.check(sampler, start.masked)
    device = next(generator.model.parameters()).device
    counts = start.masked.sum(1)
    with evaluating(generator.model), torch.no_grad():
        for count in counts.unique().tolist():
            for places in (counts == count).nonzero().flatten().split(batch_size):
                noise = ImageNoise(seed, [indices[place] for place in places.tolist()])
                views = []
                for step in generator.steps(sampler, start.select(places, device), noise):
                    if record:
                        views.append(to_pictures(generator.views(step)))
                images = to_pictures(generator.images(step))
                yield Batch(places.tolist(), images, np.stack(views, 1) if record else None)


def in_order(batches: Iterator[Batch]) -> Any:
    """All images of :func:`sample` in the order of the request, with the views if there are any."""
    batches = list(batches)
    order = np.argsort(np.concatenate([batch.places for batch in batches]))
    images = np.concatenate([batch.images for batch in batches])[order]
    if batches[0].views is None:
        return images
    return images, np.concatenate([batch.views for batch in batches])[order]


@torch.no_grad()
def completion_start(
    generator: ImageGenerator, pictures: np.ndarray, pixels: np.ndarray, batch_size: int
) -> Start:
    """What images start from that are to be completed.

    Args:
        generator: The model.
        pictures: (M, H, W, 3) uint8.
        pixels: (M, H, W) bool, True where to generate: all places with such a pixel.
        batch_size: Images at once.
    """
    batches = batches_of(pictures, batch_size, generator.model)
    known = torch.cat([generator.values(batch).cpu() for batch in batches])
    return Start(known, generator.places(pixels))


def read_masks(masks: Any, generator: ImageGenerator, count: int) -> np.ndarray:
    """Masks in pixels, see :func:`inpaint`, as (count, H, W) bool.

    Raises:
        UserError: A mask cannot be read or is of another size, or their number is another.
    """
    given = as_list(masks, 2)
    if len(given) not in (1, count):
        raise UserError(f'{len(given)} masks for {count} images: give one, or one for each')
    side, stride = generator.side, generator.stride
    pixels = [mask_pixels(mask, side, stride) for mask in given]
    return np.broadcast_to(np.stack(pixels), (count, side, side)).copy()


def mask_pixels(mask: Any, side: int, stride: int) -> np.ndarray:
    """One mask as (side, side) bool."""
    if isinstance(mask, np.ndarray) and mask.dtype == bool:
        mask = mask.astype(np.uint8) * 255
    values = read_image(mask, 'L') >= 128
    places = side // stride
    if values.shape == (places, places):
        return values.repeat(stride, 0).repeat(stride, 1)
    if values.shape != (side, side):
        name = 'a mask' if isinstance(mask, np.ndarray) else mask
        raise UserError(
            f'{name}: {" x ".join(map(str, values.shape))}, but images have {side} x {side} '
            f'pixels and {places} x {places} places: resize the mask to either'
        )
    return values


def batches_of(pictures: np.ndarray, batch_size: int, model: nn.Module) -> Iterator[Tensor]:
    """(M, H, W, 3) uint8 as tensors (B, 3, H, W) in [0, 1] where the model is."""
    check_batch_size(batch_size)
    device = next(model.parameters()).device
    for start in range(0, len(pictures), batch_size):
        yield to_tensor(pictures[start : start + batch_size]).to(device)


def check_request(seed: int, batch_size: int) -> None:
    """Refuse a seed or a size of batch that is out of its range."""
    if seed < 0:
        raise UserError(f'seed={seed}: must be 0 or more')
    check_batch_size(batch_size)


def check_batch_size(batch_size: int) -> None:
    """Refuse a batch of nothing."""
    if batch_size < 1:
        raise UserError(f'batch_size={batch_size}: must be 1 or more')
