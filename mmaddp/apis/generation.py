"""Generation, completion, reconstruction and features, for notebooks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmaddp.diffusion import Sampler
from mmaddp.models import ADDP
from mmaddp.models.inspection import evaluating
from mmaddp.models.pretrainers.addp import IMAGENET_MEAN, IMAGENET_STD
from mmaddp.utils import UserError

from .pictures import Images, read_images, to_pictures
from .sampling import batches_of, blank, completion_start, image_side, in_order, read_masks, sample


def generate(
    model: ADDP,
    num_images: int,
    *,
    steps: int = 20,
    schedule: str = 'linear',
    temperature: float = 6.0,
    decaying: bool = True,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int = 16,
    first: int = 0,
    record: bool = False,
) -> Any:
    """Generate images by algorithm 2.

    Image i of a seed is the same whatever ``first`` and ``batch_size`` are, up to the rounding of
    the model's own arithmetic, which may differ between sizes of batch.

    Args:
        model: What :func:`mmaddp.apis.load_pretrainer` gives.
        num_images: How many images.
        steps: See :class:`mmaddp.diffusion.Sampler`, as for the four that follow.
        schedule: 'linear' or 'cosine'.
        temperature: Weight of the Gumbel noise.
        decaying: Whether it decays.
        top_p: Share of the probability that tokens are drawn from.
        seed: Seed of all images.
        batch_size: Images that are generated at once.
        first: Index of the first image.
        record: Whether to give the steps in between too.

    Returns:
        (num_images, H, W, 3) uint8 RGB; with ``record`` also the views of all steps,
        (num_images, steps, 2, H, W, 3), see :class:`Batch`.

    Raises:
        UserError: A setting is out of its range.
    """
    if num_images < 1 or first < 0:
        raise UserError(f'num_images={num_images}, first={first}: must be 1 and 0 or more')
    sampler = Sampler(steps, schedule, temperature, decaying, top_p)
    indices = range(first, first + num_images)
    batches = sample(model, *blank(model, num_images), indices, sampler, seed, batch_size, record)
    return in_order(batches)


def inpaint(
    model: ADDP,
    images: Images,
    masks: Any,
    *,
    steps: int = 20,
    schedule: str = 'linear',
    temperature: float = 6.0,
    decaying: bool = True,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int = 16,
    keep_pixels: bool = False,
) -> np.ndarray:
    """Generate the masked regions of images anew, and keep the tokens of the others.

    A token is generated if any of its pixels is masked. Tokens that are kept are decoded along
    with the rest, so that their pixels change as in :func:`reconstruct`.

    Args:
        model: What :func:`mmaddp.apis.load_pretrainer` gives.
        images: Paths or uint8 RGB arrays of the model's size.
        masks: One for all images or one for each: paths, or arrays of bool or uint8 from 128 on,
            of the image's pixels (H, W) or of its grid of tokens (h, w). White or True is
            generated.
        steps: See :class:`mmaddp.diffusion.Sampler`, as for the four that follow.
        schedule: 'linear' or 'cosine'.
        temperature: Weight of the Gumbel noise.
        decaying: Whether it decays.
        top_p: Share of the probability that tokens are drawn from.
        seed: Seed of all images.
        batch_size: Images that are generated at once.
        keep_pixels: Put the given pixels back where they are not masked.

    Returns:
        (N, H, W, 3) uint8 RGB.

    Raises:
        UserError: Images or masks cannot be used, or an image has fewer tokens to generate than
            there are steps.
    """
    sampler = Sampler(steps, schedule, temperature, decaying, top_p)
    pictures = read_images(images, image_side(model))
    pixels = read_masks(masks, model, len(pictures))
    start = completion_start(model, pictures, pixels, batch_size)
    done = in_order(sample(model, *start, range(len(pictures)), sampler, seed, batch_size))
    return np.where(pixels[..., None], done, pictures) if keep_pixels else done


@torch.no_grad()
def reconstruct(model: ADDP, images: Images, batch_size: int = 16) -> np.ndarray:
    """Images after a pass through the tokenizer: the best that generation can give.

    Args:
        model: What :func:`mmaddp.apis.load_pretrainer` gives.
        images: Paths or uint8 RGB arrays of one size, a multiple of 16.
        batch_size: Images at once.

    Returns:
        (N, H, W, 3) uint8 RGB.

    Raises:
        UserError: The images cannot be used.
    """
    tokenizer, done = model.tokenizer, []
    for batch in batches_of(read_images(images), batch_size, model):
        grid = tuple(side // tokenizer.stride for side in batch.shape[-2:])
        done.append(to_pictures(tokenizer.decode(tokenizer.embed(tokenizer.encode(batch)), grid)))
    return np.concatenate(done)


@torch.no_grad()
def extract_features(model: nn.Module, images: Images, batch_size: int = 16) -> tuple[Tensor, ...]:
    """Feature maps of an encoder.

    Args:
        model: :class:`mmaddp.models.ADDP`, whose encoder is asked; a backbone; or a model with one.
        images: Paths or uint8 RGB arrays of one size. A backbone sees them normalised by
            ImageNet's mean and deviation, as all of this package are trained.
        batch_size: Images at once.

    Returns:
        (N, C, h, w) float32 on the CPU, one for each output of the encoder.

    Raises:
        UserError: The images cannot be used.
    """
    outputs = []
    with evaluating(model):
        for batch in batches_of(read_images(images), batch_size, model):
            maps = encoder_maps(model, batch)
            outputs.append([each.float().cpu() for each in maps])
    return tuple(torch.cat(each) for each in zip(*outputs))


def encoder_maps(model: nn.Module, images: Tensor) -> Sequence[Tensor]:
    """Images (B, 3, H, W) in [0, 1] -> maps (B, C, h, w)."""
    if isinstance(model, ADDP):
        stride = model.tokenizer.stride
        height, width = images.shape[-2:]
        if height % stride or width % stride:
            raise UserError(
                f'images of {height} x {width} pixels: the model wants multiples of {stride}; '
                'resize or crop them'
            )
        grid = height // stride, width // stride
        return [model.encode(images)[:, -math.prod(grid) :].transpose(1, 2).unflatten(2, grid)]
    mean, std = (images.new_tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return getattr(model, 'backbone', model)((images - mean) / std)
