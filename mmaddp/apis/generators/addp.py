"""Generating with ADDP: tokens by algorithm 2."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from mmaddp.diffusion import ADDPSampler, ImageNoise, Step
from mmaddp.models import ADDP
from mmaddp.models.inspection import gray_out

from .base import ImageGenerator, Start


class ADDPGenerator(ImageGenerator):
    """The places are VQ tokens; known ones are kept as tokens."""

    sampler_type = ADDPSampler

    def __init__(self, model: ADDP) -> None:
        super().__init__(model)
        self.stride = model.tokenizer.stride
        side = math.isqrt(model.decoder.num_patches)
        self.grid = side, side

    def steps(self, sampler: ADDPSampler, start: Start, noise: ImageNoise) -> Iterator[Step]:
        """All steps of the sampler."""
        return sampler(self.model, *start, noise)

    def images(self, step: Step) -> Tensor:
        """x_t."""
        return step.x_t

    def views(self, step: Step) -> Tensor:
        """x_t, and x_t with unreliable places in gray (figure 8)."""
        return torch.stack([step.x_t, gray_out(step.x_t, step.m_t)], dim=1)

    def values(self, images: Tensor) -> Tensor:
        """Token ids, (B, N)."""
        return self.model.tokenizer.encode(images)

    def nothing(self) -> Tensor:
        """Token ids that nobody looks at."""
        return torch.zeros(1, self.model.decoder.num_patches, dtype=torch.long)

    def check(self, sampler: ADDPSampler, masked: Tensor) -> None:
        """Refuse more steps than tokens to generate."""
        for count in masked.sum(1).unique().tolist():
            sampler.check_steps(count)

    def reconstruct(self, images: Tensor, noise: ImageNoise) -> Tensor:
        """The images after a pass through the tokenizer."""
        tokenizer = self.model.tokenizer
        grid = tuple(side // tokenizer.stride for side in images.shape[-2:])
        return tokenizer.decode(tokenizer.embed(tokenizer.encode(images)), grid)

    def maps(self, images: Tensor, noise: ImageNoise) -> list[Tensor]:
        """The map of the patch tokens."""
        grid = self.check_multiple(images)
        tokens = self.model.encode(images)[:, -math.prod(grid) :]
        return [tokens.transpose(1, 2).unflatten(2, grid)]
