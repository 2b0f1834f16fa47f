"""Generation, completion, reconstruction and features, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmaddp.diffusion import ImageNoise
from mmaddp.models.inspection import evaluating
from mmaddp.models.pixel_values import IMAGENET_MEAN, IMAGENET_STD
from mmaddp.utils import UserError

from .generators import GENERATORS, generator_of
from .pictures import Images, read_images, to_pictures
from .sampling import batches_of, completion_start, in_order, read_masks, sample


def generate(
    model: nn.Module,
    num_images: int,
    *,
    seed: int = 0,
    batch_size: int = 16,
    first: int = 0,
    record: bool = False,
    **settings: Any,
) -> Any:
    """Generate images: by algorithm 2 with ADDP, patch by patch with DARL.

    Image i of a seed is the same whatever ``first`` and ``batch_size`` are, up to the rounding of
    the model's own arithmetic, which may differ between sizes of batch. A DARL trained by MSE has
    a single image to give: nothing in it is random.

    Args:
        model: What :func:`mmaddp.apis.load_pretrainer` gives.
        num_images: How many images.
        seed: Seed of all images.
        batch_size: Images that are generated at once.
        first: Index of the first image.
        record: Whether to give the steps in between too.
        **settings: Of the model's sampler: :class:`mmaddp.diffusion.Sampler` for ADDP; for DARL
            :class:`mmaddp.diffusion.PatchSampler` if it was trained by diffusion,
            :class:`mmaddp.diffusion.TokenSampler` if it predicts VQ tokens, and none if by MSE.

    Returns:
        (num_images, H, W, 3) uint8 RGB; with ``record`` also the views of all steps,
        (num_images, steps, V, H, W, 3), see :class:`mmaddp.apis.sampling.Batch`.

    Raises:
        UserError: The model cannot generate, or a setting is not its or out of its range.
    """
    if num_images < 1 or first < 0:
        raise UserError(f'num_images={num_images}, first={first}: must be 1 and 0 or more')
    generator = generator_of(model)
    sampler = generator.sampler(settings)
    start, indices = generator.blank().repeat(num_images), range(first, first + num_images)
    return in_order(sample(generator, start, indices, sampler, seed, batch_size, record))


def inpaint(
    model: nn.Module,
    images: Images,
    masks: Any,
    *,
    seed: int = 0,
    batch_size: int = 16,
    keep_pixels: bool = False,
    **settings: Any,
) -> np.ndarray:
    """Generate the masked regions of images anew, and keep the others.

    A place of the model's grid is generated if any of its pixels is masked. ADDP keeps the tokens
    of the others and decodes them along with the rest, so that their pixels change as in
    :func:`reconstruct`; DARL keeps the patches. DARL with a fixed order of the patches completes
    what follows the first ones of that order, such as the top rows (figure 7); one with random
    orders takes any mask.

    Args:
        model: What :func:`mmaddp.apis.load_pretrainer` gives.
        images: Paths or uint8 RGB arrays of the model's size.
        masks: One for all images or one for each: paths, or arrays of bool or uint8 from 128 on,
            of the image's pixels (H, W) or of its grid of places (h, w). White or True is
            generated.
        seed: Seed of all images.
        batch_size: Images that are generated at once.
        keep_pixels: Put the given pixels back where they are not masked.
        **settings: As in :func:`generate`.

    Returns:
        (N, H, W, 3) uint8 RGB.

    Raises:
        UserError: The model cannot generate, a setting is not its or out of its range, images or
            masks cannot be used, a mask does not fit the model's order, or an image has fewer
            tokens to generate than ADDP's sampler has steps.
    """
    generator = generator_of(model)
    sampler = generator.sampler(settings)
    pictures = read_images(images, generator.side)
    pixels = read_masks(masks, generator, len(pictures))
    start = completion_start(generator, pictures, pixels, batch_size)
    done = in_order(sample(generator, start, range(len(pictures)), sampler, seed, batch_size))
    return np.where(pixels[..., None], done, pictures) if keep_pixels else done


@torch.no_grad()
def reconstruct(
    model: nn.Module, images: Images, batch_size: int = 16, seed: int = 0
) -> np.ndarray:
    """What the model makes of images that it is given whole.

    ADDP: the images after a pass through the tokenizer, the best that generation can give. DARL:
    the prediction of each patch from the true ones before it. That is the output itself if it was
    trained by MSE; the predicted x^0 at gamma = 0, where the corrupted patch is pure noise, if by
    diffusion; the most probable tokens, decoded, if it predicts tokens.

    Args:
        model: What :func:`mmaddp.apis.load_pretrainer` gives.
        images: Paths or uint8 RGB arrays of one size, a multiple of the model's stride.
        batch_size: Images at once.
        seed: Seed of the noise, which DARL's diffusion takes.

    Returns:
        (N, H, W, 3) uint8 RGB.

    Raises:
        UserError: The images cannot be used, or the model predicts no images.
    """
    generator, done = generator_of(model), []
    with evaluating(model):
        for batch in batches_of(read_images(images), batch_size, model):
            first = sum(map(len, done))
            noise = ImageNoise(seed, range(first, first + len(batch)))
            done.append(to_pictures(generator.reconstruct(batch, noise)))
    return np.concatenate(done)


@torch.no_grad()
def extract_features(model: nn.Module, images: Images, batch_size: int = 16) -> tuple[Tensor, ...]:
    """Feature maps of an encoder.

    DARL's has the attention mask that its config gives it: a full one, unless
    ``model.backbone.causal=True`` asks for that of the pre-training.

    Args:
        model: A pre-trained model, whose encoder is asked; a backbone; or a model with one.
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
    if isinstance(model, tuple(GENERATORS)):
        return generator_of(model).maps(images)
    mean, std = (images.new_tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return getattr(model, 'backbone', model)((images - mean) / std)
