"""Generation, completion, reconstruction and features, for notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable

import numpy as np
import torch
from torch import Tensor, nn

from mmaddp.diffusion import ImageNoise
from mmaddp.experiments.images import Images, read_images, to_pictures
from mmaddp.models import DDAEDiT, DDAEUNet, DiffusersUNet
from mmaddp.models.inspection import evaluating
from mmaddp.models.pixel_values import IMAGES_TO_SIGNED_RANGE, NORMALIZED_IMAGES
from mmaddp.utils import UserError

from .generators import GENERATORS, generator_of
from .sampling import batches_of, completion_start, in_order, read_masks, sample

# Backbones that see images in [-1, 1].
SIGNED_PIXELS = (DDAEUNet, DDAEDiT, DiffusersUNet)


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
    """Generate images: by algorithm 2 with ADDP, patch by patch with DARL, whole with DDAE.

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
        **settings: Of the model's sampler: :class:`mmaddp.diffusion.ADDPSampler` for ADDP; for DARL
            :class:`mmaddp.diffusion.PatchSampler` if it was trained by diffusion,
            :class:`mmaddp.diffusion.TokenSampler` if it predicts VQ tokens, and none if by MSE;
            for DDAE ``sampler='ddim'``, 'ancestral' or 'heun' and what
            :class:`mmaddp.diffusion.DDIMSampler`, :class:`mmaddp.diffusion.AncestralSampler` or
            :class:`mmaddp.diffusion.HeunSampler` take.

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
    orders takes any mask. DDAE completes nothing.

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
    model: nn.Module,
    images: Images,
    batch_size: int = 16,
    seed: int = 0,
    level: int | None = None,
) -> np.ndarray:
    """What the model makes of images that it is given whole.

    ADDP: the images after a pass through the tokenizer, the best that generation can give. DARL:
    the prediction of each patch from the true ones before it. That is the output itself if it was
    trained by MSE; the predicted x^0 at gamma = 0, where the corrupted patch is pure noise, if by
    diffusion; the most probable tokens, decoded, if it predicts tokens. DDAE: the images noised to
    a level, and denoised by one pass of the network.

    Args:
        model: What :func:`mmaddp.apis.load_pretrainer` gives.
        images: Paths or uint8 RGB arrays of one size, of ADDP and DARL a multiple of the stride.
        batch_size: Images at once.
        seed: Seed of the noise, which DARL's diffusion and DDAE take.
        level: DDAE's noise level, from 1 on; the middle one when None.

    Returns:
        (N, H, W, 3) uint8 RGB.

    Raises:
        UserError: The images cannot be used, the model predicts no images, or has no such level.
    """
    generator, done = generator_of(model).at(level, None), []
    with evaluating(model):
        for batch, noise in noised_batches(model, images, batch_size, seed):
            done.append(to_pictures(generator.reconstruct(batch, noise)))
    return np.concatenate(done)


@torch.no_grad()
def extract_features(
    model: nn.Module,
    images: Images,
    batch_size: int = 16,
    *,
    seed: int = 0,
    level: int | None = None,
    layers: Sequence[str] | None = None,
) -> tuple[Tensor, ...]:
    """Feature maps of an encoder.

    DARL's has the attention mask that its config gives it: a full one, unless
    ``model.backbone.causal=True`` asks for that of the pre-training.

    Args:
        model: A pre-trained model, whose encoder is asked; a backbone; or a model with one.
        images: Paths or uint8 RGB arrays of one size. A backbone sees them as those of this package
            are trained: normalized by ImageNet's mean and deviation, those of DDAE in [-1, 1].
        batch_size: Images at once.
        seed: Seed of the noise that a pre-trained DDAE is given.
        level: Its noise level, from 1 on; the middle one when None.
        layers: Its blocks, such as 'out_7'; all of them when None.

    Returns:
        (N, C, h, w) float32 on the CPU, one for each output of the encoder; of a pre-trained DDAE
        one for each of ``layers``.

    Raises:
        UserError: The images cannot be used, or the model has no such level or layers.
        ValueError: There is no such layer.
    """
    encode, outputs = encoder_of(model, level, layers), []
    with evaluating(model):
        for batch, noise in noised_batches(model, images, batch_size, seed):
            outputs.append([each.float().cpu() for each in encode(batch, noise)])
    return tuple(torch.cat(each) for each in zip(*outputs))


def encoder_of(
    model: nn.Module, level: int | None, layers: Sequence[str] | None
) -> Callable[[Tensor, ImageNoise], Sequence[Tensor]]:
    """What makes maps (B, C, h, w) of images (B, 3, H, W) in [0, 1] and noise."""
    if isinstance(model, tuple(GENERATORS)):
        return generator_of(model).at(level, layers).maps
    if level is not None or layers is not None:
        raise UserError('level, layers: a backbone has its own; set its time and out_blocks')
    backbone = getattr(model, 'backbone', model)
    signed = isinstance(backbone, SIGNED_PIXELS)
    preprocessor = IMAGES_TO_SIGNED_RANGE if signed else NORMALIZED_IMAGES
    return lambda images, noise: backbone(normalized(images, preprocessor))


def normalized(images: Tensor, preprocessor: Mapping[str, Any]) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] as a data preprocessor gives them."""
    mean, std = (
        images.new_tensor(preprocessor[name]).view(3, 1, 1) / 255 for name in ('mean', 'std')
    )
    return (images - mean) / std


def noised_batches(
    model: nn.Module, images: Images, batch_size: int, seed: int
) -> Iterator[tuple[Tensor, ImageNoise]]:
    """Batches of images (B, 3, H, W) in [0, 1], and noise for each image by its place."""
    first = 0
    for batch in batches_of(read_images(images), batch_size, model):
        yield batch, ImageNoise(seed, range(first, first + len(batch)))
        first += len(batch)
