"""Pictures of DDAE's pre-training: what it makes of noised images, and what it generates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from mmaddp.diffusion import ImageNoise
from mmaddp.registry import HOOKS
from mmaddp.utils import UserError

from .visualization_hook import VisualizationHook


@HOOKS.register_module()
class DenoisingVisualizationHook(VisualizationHook):
    """Draw DDAE's predictions and samples, see :class:`VisualizationHook`.

    'predictions': a row for each of some training images, always the same with the same crop and
    noise. From the left: the image, with latents also what the autoencoder keeps of it; then for
    each noise level x_t and D(x_t, t), which one pass of the network predicts from it.
    'samples': images generated from one seed by the process's usual sampler, as they improve.

    Args:
        interval: Iterations between two drawings; the last iteration is drawn too.
        num_images: Training images, spread over the whole set.
        levels: Noise levels as shares of the process's, in (0, 1]; the nearest ones are taken.
        num_samples: Images to generate.
        sample_steps: Steps of the sampler, 2 or more; fewer where the usual one has fewer.
        seed: Seed of the noise and the samples.

    Raises:
        UserError: ``levels`` or ``sample_steps`` are out of their range.
    """

    def __init__(
        self,
        interval: int = 1000,
        num_images: int = 4,
        levels: Sequence[float] = (0.25, 0.5, 0.75),
        num_samples: int = 8,
        sample_steps: int = 20,
        seed: int = 0,
    ) -> None:
        super().__init__(interval, num_images, seed)
        if not all(0 < level <= 1 for level in levels):
            raise UserError(f'levels={levels} of DenoisingVisualizationHook: must be in (0, 1]')
        if sample_steps < 2:
            raise UserError(
                f'sample_steps={sample_steps} of DenoisingVisualizationHook: must be 2 or more'
            )
        self.levels = levels
        self.num_samples, self.sample_steps = num_samples, sample_steps

    def pictures(self, model: nn.Module, inputs: Tensor) -> Iterator[tuple[str, Tensor, int]]:
        """Both grids; arguments and what it yields are those of the base class."""
        views = [model.to_unit_range(view) for view in self._views(model, inputs)]
        yield 'predictions', torch.stack(views, dim=1).flatten(0, 1), len(views)
        if self.num_samples:
            yield 'samples', model.to_unit_range(self._samples(model)), 4

    def _views(self, model: nn.Module, images: Tensor) -> Iterator[Tensor]:
        """The columns, (B, 3, H, W) in about [-1, 1] each; the noise is the same at all levels."""
        yield images
        x_0 = model.encode(images)
        if model.autoencoder is not None:
            yield model.decode(x_0)
        noise = ImageNoise(self.seed, range(len(x_0))).normal(x_0)
        for share in self.levels:
            level = model.process.level(max(1, round(share * model.process.num_levels)))
            x_t = model.process.perturb(x_0, level, noise)
            yield model.decode(x_t)
            yield model.decode(model.denoise(x_t, level))

    def _samples(self, model: nn.Module) -> Tensor:
        usual = model.default_sampler()
        sampler = replace(usual, steps=min(self.sample_steps, usual.steps))
        return model.sample(ImageNoise(self.seed, range(self.num_samples)), sampler)
