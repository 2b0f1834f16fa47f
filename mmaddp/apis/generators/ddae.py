"""Generating with DDAE: whole images at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from mmaddp.diffusion import AncestralSampler, DDIMSampler, Denoised, HeunSampler, ImageNoise
from mmaddp.models import DDAE
from mmaddp.models.backbones import DDAEDiT
from mmaddp.utils import UserError, check_choice

from .base import ImageGenerator, Start, build_sampler

SAMPLERS = {'ddim': DDIMSampler, 'ancestral': AncestralSampler, 'heun': HeunSampler}
MOST_VIEWS = 16


class DDAEGenerator(ImageGenerator):
    """The image is a single place: all of it is generated, or nothing.

    Attributes:
        level: The noise level of :meth:`reconstruct` and :meth:`maps`, by its number.
        layers: The blocks of :meth:`maps`; all of them when None.
    """

    grid = (1, 1)

    def __init__(self, model: DDAE) -> None:
        super().__init__(model)
        self.stride = model.img_size
        self.level = model.process.num_levels // 2
        self.layers: Sequence[str] | None = None

    @property
    def sampler_type(self) -> type:
        """The process's usual one."""
        return type(self.model.default_sampler())

    def sampler(self, settings: Mapping[str, Any], spelled: Mapping[str, str] | None = None) -> Any:
        """The sampler that ``sampler`` names, the usual one without; see the base class."""
        given, usual = dict(settings), self.model.default_sampler()
        name = given.pop('sampler', None)
        if name is None:
            kind = type(usual)
        else:
            check_choice('sampler', name, SAMPLERS)
            kind = SAMPLERS[name]
        defaults = asdict(usual) if kind is type(usual) else dict(clip=usual.clip)
        return build_sampler(kind, {**defaults, **given}, spelled or {})

    def steps(self, sampler: Any, start: Start, noise: ImageNoise) -> Iterator[Denoised]:
        """At most :data:`MOST_VIEWS` of the steps, evenly apart, and the last."""
        return self.some(self.model.sampling_steps(noise, sampler), sampler)

    def some(self, steps: Iterator[Denoised], sampler: Any) -> Iterator[Denoised]:
        """Those of a sampler's steps that are worth a look."""
        count = getattr(sampler, 'steps', self.model.process.num_levels)
        every = -(-count // MOST_VIEWS)
        for number, step in enumerate(steps, start=1):
            if number % every == 0 or number == count:
                yield step

    def images(self, step: Denoised) -> Tensor:
        """x_t."""
        return self.pictures(step.x_t)

    def views(self, step: Denoised) -> Tensor:
        """x_t, and the prediction of x_0 it came from."""
        return torch.stack([self.pictures(step.x_t), self.pictures(step.x_0)], dim=1)

    def pictures(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W), about [0, 1], of what the network denoises."""
        return self.model.to_unit_range(self.model.decode(x.float()))

    def values(self, images: Tensor) -> Tensor:
        """Refuse to keep parts of an image."""
        raise UserError(
            'DDAE generates whole images and completes none: leave out --image and --mask, or '
            'take a model of configs/pretrain/addp or configs/pretrain/darl'
        )

    def nothing(self) -> Tensor:
        """A value that nobody looks at."""
        return torch.zeros(1, 1)

    def check(self, sampler: Any, masked: Tensor) -> None:
        """Refuse a sampler that does not fit the model, or has more steps than it."""
        self.model.check_sampler(sampler)
        if isinstance(sampler, DDIMSampler):
            sampler.timesteps(self.model.process.num_timesteps)

    def reconstruct(self, images: Tensor, noise: ImageNoise) -> Tensor:
        """D(x_t, t) of the images noised to the level: one pass of the network."""
        x_0 = self.model.encode(self.normalized(images))
        level = self.model.process.level(self.level)
        x_t = self.model.process.perturb(x_0, level, noise.normal(x_0))
        return self.pictures(self.model.denoise(x_t, level))

    def maps(self, images: Tensor, noise: ImageNoise) -> list[Tensor]:
        """The blocks' features of the images noised to the level."""
        x_0 = self.model.encode(self.normalized(images))
        features = self.model.noised_features(x_0, self.level, noise.normal(x_0), self.layers)
        return [self.as_map(features[name], x_0) for name in self.layers or features]

    def as_map(self, features: Tensor, x_0: Tensor) -> Tensor:
        """Tokens (B, N, C) of DiT in their places; maps as they are: (B, C, h, w)."""
        if not isinstance(self.model.network, DDAEDiT):
            return features
        side = self.model.network.patch_size
        grid = tuple(-(-length // side) for length in x_0.shape[-2:])
        return features.transpose(1, 2).unflatten(2, grid)

    def normalized(self, images: Tensor) -> Tensor:
        """[0, 1] to [-1, 1]."""
        return 2 * images - 1

    def at(self, level: int | None, layers: Sequence[str] | None) -> DDAEGenerator:
        """See the base class."""
        if level is not None:
            self.model.process.level(level)
            self.level = level
        self.layers = layers
        return self
