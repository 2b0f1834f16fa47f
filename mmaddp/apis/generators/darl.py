"""Generating with DARL: patch by patch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mmaddp.diffusion import ImageNoise, MeanSampler, PatchSampler, Placed, TokenSampler
from mmaddp.diffusion.patch_sampler import known_first
from mmaddp.models import DARL
from mmaddp.models.inspection import gray_out
from mmaddp.utils import UserError

from .base import ImageGenerator, Start


class DARLGenerator(ImageGenerator):
    """The places are patches of pixels, or VQ tokens where the model reads and predicts tokens."""

    def __init__(self, model: DARL) -> None:
        super().__init__(model)
        self.stride = model.backbone.patch_size
        self.grid = tuple(model.backbone.grid)

    @property
    def sampler_type(self) -> type:
        """The sampler of the objective: diffusion's, MSE's or that of tokens."""
        check_generates(self.model)
        if self.model.target == 'tokens':
            return TokenSampler
        return PatchSampler if self.model.noise else MeanSampler

    def steps(self, sampler: Any, start: Start, noise: ImageNoise) -> Iterator[Placed]:
        """Each time as many places are done as are a row of the image, and at the end."""
        columns, count = self.grid[1], int(start.masked[0].sum())
        for number, step in enumerate(sampler(self.model, *start, noise), start=1):
            if number % columns == 0 or number >= count:
                yield step

    def images(self, step: Placed) -> Tensor:
        """The image as far as it is; what is missing is undefined."""
        return self.decode(step.values, self.grid)

    def views(self, step: Placed) -> Tensor:
        """The image with the missing places gray."""
        return gray_out(self.images(step), step.masked)[:, None]

    def values(self, images: Tensor) -> Tensor:
        """Normalized patches (B, N, P), or token ids (B, N)."""
        images = (images - self.model.mean) / self.model.std
        if self.model.inputs == 'tokens':
            return self.model.tokenize(images)
        return self.model.patchify(images)

    def nothing(self) -> Tensor:
        """Gray patches, or the first code everywhere."""
        shape = 1, self.grid[0] * self.grid[1]
        if self.model.inputs == 'tokens':
            return torch.zeros(shape, dtype=torch.long)
        return torch.zeros(*shape, 3 * self.stride**2)

    def check(self, sampler: Any, masked: Tensor) -> None:
        """Refuse masks that do not fit the model's order."""
        known_first(self.model, masked)

    def reconstruct(self, images: Tensor, noise: ImageNoise) -> Tensor:
        """The prediction of each patch from the true ones before it."""
        check_generates(self.model)
        grid, values = self.check_multiple(images), self.values(images)
        z = self.model.backbone.predict_next(self.model.embed_values(values), grid)
        return self.decode(predict_values(self.model, z, values, noise), grid)

    def decode(self, values: Tensor, grid: tuple[int, int]) -> Tensor:
        """Images (B, 3, H, W) of patches or token ids, about [0, 1]."""
        if self.model.inputs == 'tokens':
            return self.model.tokenizer.decode(self.model.tokenizer.embed(values), grid)
        return self.model.to_unit_range(self.model.unpatchify(values, grid))

    def maps(self, images: Tensor, noise: ImageNoise) -> Sequence[Tensor]:
        """The backbone's maps, with its attention as it is configured."""
        if self.model.inputs == 'tokens':
            raise UserError(
                "the model reads VQ tokens (inputs='tokens'), its backbone has not learned to "
                "read pixels: take a model of inputs='pixels'"
            )
        return self.model.backbone((images - self.model.mean) / self.model.std)


def check_generates(model: DARL) -> None:
    """Refuse models whose predictions are not what they read.

    Raises:
        UserError: The model cannot generate.
    """
    if model.target == 'normalized-pixels':
        raise UserError(
            "target='normalized-pixels': a patch without its mean and deviation is no picture; "
            "take a model of target='pixels'"
        )
    if model.target != model.inputs:
        raise UserError(
            f'target={model.target!r} with inputs={model.inputs!r}: what is generated cannot be '
            'read for the next place; take a model where both are the same'
        )


def predict_values(model: DARL, z: Tensor, values: Tensor, noise: ImageNoise) -> Tensor:
    """The most that a single pass tells of each place.

    Args:
        model: The model.
        z: (B, N, C), of the true places before each.
        values: (B, N, P) or (B, N), of the shape that is wanted.
        noise: That of these images.

    Raises:
        UserError: The model predicts the noise, which says nothing of a patch of pure noise.
    """
    if model.target == 'tokens':
        return model.decode(z).argmax(-1)
    if not model.noise:
        return model.denoise(z)
    if model.prediction == 'epsilon':
        raise UserError(
            "prediction='epsilon': the noise of pure noise tells nothing of a patch; "
            'generate or complete images instead'
        )
    x_s = noise.normal(values)
    return model.denoise(z, x_s, z.new_zeros(*z.shape[:2], 1))
