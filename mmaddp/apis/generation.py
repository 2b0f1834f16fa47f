"""Generation, completion, reconstruction and features, for notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np
import torch
from torch import Tensor, nn

from mmaddp.diffusion import ImageNoise
from mmaddp.experiments.images import Images, read_images, to_uint8
from mmaddp.experiments.sampling import (
    batches_of,
    completion_start,
    in_order,
    read_masks,
    sample_batches,
)
from mmaddp.models.inspection import evaluating
from mmaddp.models.pixel_values import normalize
from mmaddp.models.pretrainers import ImageGenerator, Pretrainer
from mmaddp.utils import check_range


def generate(
    model: ImageGenerator,
    num_images: int,
    *,
    seed: int = 0,
    batch_size: int = 16,
    first: int = 0,
    record: bool = False,
    **settings: Any,
) -> Any:
    """Generate images: ADDP by its algorithm 2, DARL patch by patch, DDAE as a whole.

    Image i of a seed does not depend on ``first`` and ``batch_size``, up to rounding. Sampling a
    DARL trained by mean squared error is not random: it always generates the same image.

    Args:
        model: A model from :func:`mmaddp.apis.load_pretrainer`.
        num_images: Number of images.
        seed: Seed of all images.
        batch_size: Batch size.
        first: Index of the first image.
        record: Also return the intermediate steps.
        **settings: Fields of the model's sampler, such as :class:`mmaddp.diffusion.ADDPSampler` for
            ADDP. ``sampler`` selects one if there are several, such as 'ddim' and 'ancestral' of
            DDAE. ``model.samplers`` holds all with their defaults.

    Returns:
        (num_images, H, W, 3) uint8 RGB. With ``record`` also the views of all steps,
        (num_images, steps, V, H, W, 3).

    Raises:
        UserError: The model cannot generate, or a setting does not exist or is out of range.
    """
    check_range('num_images', num_images, 1)
    check_range('first', first, 0)
    sampler = model.sampler(**settings)
    start, indices = model.blank().repeat(num_images), range(first, first + num_images)
    return in_order(sample_batches(model, start, indices, sampler, seed, batch_size, record))


def inpaint(
    model: ImageGenerator,
    images: Images,
    masks: Any,
    *,
    seed: int = 0,
    batch_size: int = 16,
    keep_pixels: bool = False,
    **settings: Any,
) -> np.ndarray:
    """Generate the masked regions of images and keep the rest.

    A position of the model's grid is generated if any of its pixels is masked. ADDP keeps the
    other tokens and decodes all of them, so known pixels change as in :func:`reconstruct`. DARL
    keeps the other patches; with a fixed order these must come first in it, such as the top rows
    (figure 7). DDAE completes no images.

    Args:
        model: What :func:`mmaddp.apis.load_pretrainer` gives.
        images: Paths or uint8 RGB arrays of the model's size.
        masks: One mask for all images or one per image: paths, or bool or uint8 arrays of the
            image's pixels (H, W) or the model's grid (h, w). True or 128 and above is generated.
        seed: Seed of all images.
        batch_size: Batch size.
        keep_pixels: Restore the given pixels outside the mask.
        **settings: See :func:`generate`.

    Returns:
        (N, H, W, 3) uint8 RGB.

    Raises:
        UserError: The model completes no images, a setting or a mask does not fit it, or an image
            has fewer tokens to generate than ADDP's sampler has steps.
    """
    sampler = model.sampler(**settings)
    known = read_images(images, model.side)
    pixels = read_masks(masks, model, len(known))
    start = completion_start(model, known, pixels, batch_size)
    done = in_order(sample_batches(model, start, range(len(known)), sampler, seed, batch_size))
    return np.where(pixels[..., None], done, known) if keep_pixels else done


@torch.no_grad()
def reconstruct(
    model: ImageGenerator,
    images: Images,
    batch_size: int = 16,
    seed: int = 0,
    level: int | None = None,
) -> np.ndarray:
    """Reconstruct images.

    ADDP encodes and decodes them with its tokenizer, an upper bound on generation quality. DARL
    predicts each patch from the true ones before it: its output when trained by mean squared
    error, x^0 predicted at gamma = 0 (pure noise) by diffusion, the most probable tokens decoded on
    tokens. DDAE noises the images to a level and denoises them in one pass of the network.

    Args:
        model: A model from :func:`mmaddp.apis.load_pretrainer`.
        images: Paths or uint8 RGB arrays of one size, for ADDP and DARL a multiple of the stride.
        batch_size: Batch size.
        seed: Seed of the noise of DARL's diffusion and DDAE.
        level: Noise level of DDAE, from 1; the middle one when None.

    Returns:
        (N, H, W, 3) uint8 RGB.

    Raises:
        UserError: The images differ in size, the model predicts no images or has no such level.
    """
    with evaluating(model):
        return np.concatenate(
            [
                to_uint8(model.reconstruct(batch, noise, level))
                for batch, noise in noised_batches(model, images, batch_size, seed)
            ]
        )


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

    DARL's attention is masked only if its config sets ``model.backbone.causal=True``.

    Args:
        model: A pre-trained model, an encoder, or a model with one as ``backbone``.
        images: Paths or uint8 RGB arrays of one size.
        batch_size: Batch size.
        seed: Seed of the noise of a pre-trained DDAE.
        level: Its noise level, from 1; the middle one when None.
        layers: Names of layers, such as 'out_7' or 'block_3'. None takes the encoder's own
            outputs, or all layers of a pre-trained DDAE.

    Returns:
        (N, C, h, w) float32 on the CPU for each layer.

    Raises:
        UserError: The images differ in size, or a layer or the level does not exist.
    """
    extract, outputs = feature_extractor(model, level, layers), []
    with evaluating(model):
        for batch, noise in noised_batches(model, images, batch_size, seed):
            outputs.append([each.float().cpu() for each in extract(batch, noise)])
    return tuple(torch.cat(each) for each in zip(*outputs))


def feature_extractor(
    model: nn.Module, level: int | None, layers: Sequence[str] | None
) -> Callable[[Tensor, ImageNoise], Sequence[Tensor]]:
    """A function from images (B, 3, H, W) in [0, 1] and noise to maps (B, C, h, w)."""
    model = getattr(model, 'pretrainer', model)  # what a noise-conditional classifier holds
    if not isinstance(model, Pretrainer):
        encoder = getattr(model, 'backbone', model)

        def encode(images: Tensor, noise: ImageNoise) -> Sequence[Tensor]:
            x = normalize(images, encoder)
            if layers is None:
                return encoder(x)
            # The encoder's own call does this by itself.
            return encoder_maps(encoder, encoder.network_input(x), layers)

        return encode
    level = model.default_level if level is None else level
    model.check_level(level)

    def extract(images: Tensor, noise: ImageNoise) -> Sequence[Tensor]:
        x = model.encoder_inputs(model.from_unit_range(images))
        if not model.num_levels:
            return encoder_maps(model.encoder_module, x, layers)
        maps = model.forward_intermediates(x, layers, level, noise.normal(x))
        return [maps[layer] for layer in layers or maps]

    return extract


def encoder_maps(encoder: nn.Module, x: Tensor, layers: Sequence[str] | None) -> Sequence[Tensor]:
    """Maps of an encoder's layers, or its own outputs when None."""
    if layers is None:
        return encoder(x)
    maps = encoder.forward_intermediates(x, layers, encoder.time)
    return [maps[layer] for layer in layers]


def noised_batches(
    model: nn.Module, images: Images, batch_size: int, seed: int
) -> Iterator[tuple[Tensor, ImageNoise]]:
    """Batches of images (B, 3, H, W) in [0, 1] with noise seeded by the image's index."""
    first = 0
    for batch in batches_of(read_images(images), batch_size, model):
        yield batch, ImageNoise(seed, range(first, first + len(batch)))
        first += len(batch)
