"""Batches of images through the sampler, from nothing or from known tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmaddp.diffusion import ImageNoise, Sampler, Step
from mmaddp.models import ADDP
from mmaddp.models.inspection import evaluating, grey_out
from mmaddp.utils import UserError

from .pictures import as_list, read_image, to_pictures, to_tensor


class Batch(NamedTuple):
    """Images as they are generated.

    ``places`` are their positions in the request, ``images`` (B, H, W, 3) uint8 RGB. ``views``
    (B, steps, 2, H, W, 3), if asked for, are each step's x_t, whole and with its reliable tokens
    alone (figure 8).
    """

    places: list[int]
    images: np.ndarray
    views: np.ndarray | None


def sample(
    model: ADDP,
    z_t: Tensor,
    m_t: Tensor,
    indices: Sequence[int],
    sampler: Sampler,
    seed: int,
    batch_size: int,
    record: bool = False,
) -> Iterator[Batch]:
    """Run the sampler over any number of images, in batches that mask equally many places.

    Args:
        model: The model.
        z_t: (M, N) token ids to start from.
        m_t: (M, N) bool, True where a token is to be generated.
        indices: The index of each of the M images in its seed.
        sampler: The settings.
        seed: Seed of all images.
        batch_size: Images at once.
        record: Whether to give the views of all steps.

    Yields:
        Each batch as it is done.
    """
    check_request(seed, batch_size)
    device = next(model.parameters()).device
    counts = m_t.sum(1)
    different = counts.unique().tolist()
    for count in different:
        sampler.check_steps(count)
    with evaluating(model):
        for count in different:
            for places in (counts == count).nonzero().flatten().split(batch_size):
                noise = ImageNoise(seed, [indices[place] for place in places.tolist()])
                views = []
                for step in sampler(model, z_t[places].to(device), m_t[places].to(device), noise):
                    if record:
                        views.append(view(step))
                images = to_pictures(step.x_t)
                yield Batch(places.tolist(), images, np.stack(views, 1) if record else None)


def in_order(batches: Iterator[Batch]) -> Any:
    """All images of :func:`sample` in the order of the request, with the views if there are any."""
    batches = list(batches)
    order = np.argsort(np.concatenate([batch.places for batch in batches]))
    images = np.concatenate([batch.images for batch in batches])[order]
    if batches[0].views is None:
        return images
    return images, np.concatenate([batch.views for batch in batches])[order]


def view(step: Step) -> np.ndarray:
    """x_t, and x_t with unreliable places in grey (figure 8): (B, 2, H, W, 3) uint8."""
    return to_pictures(torch.stack([step.x_t, grey_out(step.x_t, step.m_t)], dim=1))


def blank(model: ADDP, num_images: int) -> tuple[Tensor, Tensor]:
    """The start of unconditional generation: all places masked, (M, N) and (M, N) bool."""
    shape = num_images, model.decoder.num_patches
    mask = torch.ones(1, shape[1], dtype=torch.bool).expand(shape)
    return torch.zeros(1, shape[1], dtype=torch.long).expand(shape), mask


@torch.no_grad()
def completion_start(
    model: ADDP, pictures: np.ndarray, pixels: np.ndarray, batch_size: int
) -> tuple[Tensor, Tensor]:
    """The known tokens of images.

    Args:
        model: The model.
        pictures: (M, H, W, 3) uint8.
        pixels: (M, H, W) bool, True where to generate.
        batch_size: Images at once.

    Returns:
        Token ids (M, N), and (M, N) bool, True where any pixel of a token is.
    """
    batches = batches_of(pictures, batch_size, model)
    ids = torch.cat([model.tokenizer.encode(batch).cpu() for batch in batches])
    stride = model.tokenizer.stride
    patches = torch.from_numpy(pixels).unflatten(2, (-1, stride)).unflatten(1, (-1, stride))
    return ids, patches.any(4).any(2).flatten(1)


def read_masks(masks: Any, model: ADDP, count: int) -> np.ndarray:
    """Masks in pixels, see :func:`inpaint`, as (count, H, W) bool.

    Raises:
        UserError: A mask cannot be read or is of another size, or their number is another.
    """
    given = as_list(masks, 2)
    if len(given) not in (1, count):
        raise UserError(f'{len(given)} masks for {count} images: give one, or one for each')
    side, stride = image_side(model), model.tokenizer.stride
    pixels = [mask_pixels(mask, side, stride) for mask in given]
    return np.broadcast_to(np.stack(pixels), (count, side, side)).copy()


def mask_pixels(mask: Any, side: int, stride: int) -> np.ndarray:
    """One mask as (side, side) bool."""
    if isinstance(mask, np.ndarray) and mask.dtype == bool:
        mask = mask.astype(np.uint8) * 255
    values = read_image(mask, 'L') >= 128
    tokens = side // stride
    if values.shape == (tokens, tokens):
        return values.repeat(stride, 0).repeat(stride, 1)
    if values.shape != (side, side):
        name = 'a mask' if isinstance(mask, np.ndarray) else mask
        raise UserError(
            f'{name}: {" x ".join(map(str, values.shape))}, but images have {side} x {side} '
            f'pixels and {tokens} x {tokens} tokens: resize the mask to either'
        )
    return values


def image_side(model: ADDP) -> int:
    """Height and width of the model's images, in pixels."""
    return math.isqrt(model.decoder.num_patches) * model.tokenizer.stride


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
