"""The interface of a method: its loss, features, visualization and sampling."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmaddp.checkpoints import check_meta, read_checkpoint
from mmaddp.checkpoints.reader import naming
from mmaddp.checkpoints.weights import find_weights
from mmaddp.diffusion import ImageNoise
from mmaddp.utils import UserError, check_choice, check_multiples

from ..backbones import BaseEncoder
from .frozen import FrozenParts, FrozenTokenizer


class Start(NamedTuple):
    """What generation starts from, for M images of N positions.

    ``known`` (M, N, ...) holds the values of the positions. ``masked`` (M, N) bool is True where
    values are generated; ``known`` is ignored there.
    """

    known: Tensor
    masked: Tensor

    def repeat(self, count: int) -> Start:
        """One image's start for several."""
        return Start(*(each.expand(count, *each.shape[1:]) for each in self))

    def select(self, images: Tensor, device: torch.device) -> Start:
        """The start of some of the images, on a device."""
        return Start(*(each[images].to(device) for each in self))


class ImageGenerator(FrozenParts, BaseModel):
    """A model that generates images with samplers.

    An image is a grid of positions, such as patches, VQ tokens or a single one. A sampler is a
    dataclass whose fields are its settings; :attr:`samplers` lists those of the model.

    Attributes:
        checkpoint_prefixes: A checkpoint of this model has keys with each of these prefixes.
        training_parts: Children that generation does not use.
    """

    checkpoint_prefixes: tuple[str, ...] = ()
    training_parts: tuple[str, ...] = ()

    # To generate, a model overrides the members up to `blank`.

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w), the positions of an image."""

    @property
    def stride(self) -> int:
        """Side of a position in pixels."""

    @property
    def samplers(self) -> dict[str, Any]:
        """Samplers with their default settings, by name; the first is the default.

        Raises:
            UserError: The model cannot generate.
        """
        return {}

    def sample_steps(self, sampler: Any, start: Start, noise: ImageNoise) -> Iterator[Any]:
        """Run the sampler; yield the steps worth showing, and the last one."""

    def step_images(self, step: Any) -> Tensor:
        """The images (B, 3, H, W), about [0, 1], of a step."""

    def blank(self) -> Start:
        """The start of one image with nothing known."""

    def step_views(self, step: Any) -> Tensor:
        """V views of a step, (B, V, 3, H, W), about [0, 1]."""
        return self.step_images(step)[:, None]

    def known_values(self, images: Tensor) -> Tensor:
        """The values that completion keeps of images (B, 3, H, W) in [0, 1]: (B, N, ...).

        Raises:
            UserError: The model cannot complete images.
        """
        self.refuse('generates whole images and cannot complete one')

    def check_start(self, sampler: Any, masked: Tensor) -> None:
        """Refuse masks (M, N) bool that the sampler cannot generate."""

    def reconstruct(self, images: Tensor, noise: ImageNoise, level: int | None = None) -> Tensor:
        """Reconstruct whole images; see :func:`mmaddp.apis.reconstruct`.

        Args:
            images: (B, 3, H, W) in [0, 1].
            noise: The noise of these images.
            level: Noise level; a default one when None.

        Returns:
            (B, 3, H, W), about [0, 1].
        """
        self.refuse('does not reconstruct images')

    def refuse(self, why: str) -> NoReturn:
        """Refuse what the model does not do."""
        raise UserError(f'{type(self).__name__} {why}')

    @property
    def side(self) -> int:
        """Height and width of generated images in pixels."""
        return self.grid[0] * self.stride

    @property
    def setting_types(self) -> dict[str, type]:
        """Types of the settings that :meth:`sampler` takes, by name."""
        # A single sampler needs no name.
        types = {} if len(self.samplers) == 1 else {'sampler': str}
        for sampler in self.samplers.values():
            types.update({name: type(value) for name, value in vars(sampler).items()})
        return types

    def sampler(self, **settings: Any) -> Any:
        """A sampler with some settings; ``sampler`` is its name.

        Raises:
            UserError: The model cannot generate, has no such sampler, or the sampler no such
                setting; or a value is out of range.
        """
        samplers = self.samplers
        if not samplers:
            self.refuse('does not generate images')
        name = settings.pop('sampler', next(iter(samplers)))
        check_choice('sampler', name, samplers)
        default = samplers[name]
        known = [field.name for field in fields(default)]
        unknown = [name for name in settings if name not in known]
        if unknown:
            raise UserError(
                f'{", ".join(unknown)}: {type(default).__name__} has the settings '
                f'{", ".join(known) or "(none)"}'
            )
        return replace(default, **settings)

    @torch.no_grad()
    def sample(self, noise: ImageNoise, sampler: Any = None) -> Tensor:
        """Generate images (B, 3, H, W), about [0, 1], one for each generator of ``noise``."""
        sampler = self.sampler() if sampler is None else sampler
        images = torch.arange(len(noise.generators))
        # As many images as generators.
        start = self.blank().repeat(len(images)).select(images, next(self.parameters()).device)
        self.check_start(sampler, start.masked)
        # Keep only the last step.
        return self.step_images(deque(self.sample_steps(sampler, start, noise), maxlen=1).pop())

    def masked_positions(self, pixels: np.ndarray) -> Tensor:
        """Positions with a pixel to generate: (M, H, W) bool -> (M, N) bool."""
        # (M, H, W) -> (M, h, stride, w, stride), any over the pixels of a position
        cells = torch.from_numpy(pixels).unflatten(2, (-1, self.stride))
        return cells.unflatten(1, (-1, self.stride)).any(4).any(2).flatten(1)

    def grid_of(self, images: Tensor) -> tuple[int, int]:
        """The grid (h, w) of images.

        Raises:
            UserError: A side is not a multiple of the stride.
        """
        height, width = images.shape[-2:]
        check_multiples((height, width), self.stride)
        return height // self.stride, width // self.stride

    def read_weights(self, path: str | Path) -> dict[str, Tensor]:
        """The tensors of our own checkpoint or of a published file, under our names.

        Raises:
            UserError: The file cannot be read or converted.
        """
        checkpoint = read_checkpoint(path)
        with naming(path):
            check_meta(self, checkpoint)
            # With a moving average, `state_dict` holds the averaged weights.
            tensors = find_weights(checkpoint, self.has_all_prefixes).tensors
            return tensors if self.has_all_prefixes(tensors) else self.convert_weights(checkpoint)

    def has_all_prefixes(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether tensors with each of ``checkpoint_prefixes`` are there."""
        return all(any(key.startswith(one) for key in tensors) for one in self.checkpoint_prefixes)

    def convert_weights(self, checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
        """The tensors of a published checkpoint under our names.

        Raises:
            UserError: The checkpoint cannot be converted.
        """
        # Methods without published files have nothing to convert.
        wanted = ' and '.join(f'{prefix}*' for prefix in self.checkpoint_prefixes)
        raise UserError(f'has no {wanted}: give a checkpoint of this {type(self).__name__}')


class TokenGenerator(FrozenTokenizer, ImageGenerator):
    """Generates the tokens of a frozen tokenizer."""

    def blank(self) -> Start:
        """All tokens masked."""
        known = torch.zeros(1, self.num_patches, dtype=torch.long)
        return Start(known, torch.ones_like(known, dtype=torch.bool))

    def known_values(self, images: Tensor) -> Tensor:
        """Token ids (B, N)."""
        return self.tokenizer.encode(images)

    def reconstruct(self, images: Tensor, noise: ImageNoise, level: int | None = None) -> Tensor:
        """The images after a pass through the tokenizer."""
        grid = tuple(side // self.stride for side in images.shape[-2:])
        return self.tokenizer.decode(self.tokenizer.embed(self.tokenizer.encode(images)), grid)


class Pretrainer(ImageGenerator):
    """A pre-training method: its loss, the features of its encoder, its visualization, its samples.

    Images are (B, 3, H, W), as the data preprocessor returns them unless stated otherwise.

    Attributes:
        num_levels: Noise levels, numbered from 1; 0 if the encoder sees clean images.
        timed_steps: Methods called by :meth:`loss` that benchmarks time one by one.
    """

    num_levels: int = 0
    timed_steps: tuple[str, ...] = ()

    @property
    @abstractmethod
    def encoder_module(self) -> BaseEncoder:
        """The network that transfers."""

    @abstractmethod
    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        """The training objective, step by step as in the paper."""

    def visualize(self, inputs: Tensor, seed: int = 0) -> Iterator[tuple[str, Tensor, int]]:
        """Images that show the training; a method may take more arguments.

        Args:
            inputs: A training batch.
            seed: Seed of all noise and masks.

        Yields:
            A name, images (M, 3, H, W) in [0, 1] of a grid, and its number of columns.
        """
        # Nothing to show by default.
        yield from ()

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | list | Tensor:
        """Losses ('loss'), samples with them ('predict') or :meth:`represent` ('tensor')."""
        if mode == 'predict':
            return self.validate(inputs, data_samples)
        return self.loss(inputs) if mode == 'loss' else self.represent(inputs)

    def validate(self, inputs: Tensor, data_samples: list) -> list:
        """Samples with ``pred_losses``, the losses of their batch, for a validation loss.

        Noise and masks depend on the index of the batch's first image, so that every validation
        of the same batches has the same.
        """
        # The training's own random state goes on as if there had been no validation.
        devices = [inputs.device] if inputs.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(data_samples[0].sample_idx)
            losses = self.parse_losses(self.loss(inputs))[1]
        for sample in data_samples:
            sample.set_field({name: float(loss) for name, loss in losses.items()}, 'pred_losses')
        return data_samples

    def represent(self, images: Tensor) -> Tensor:
        """The map of the last layer, (B, C, h, w)."""
        layer = self.layers[-1]
        return self.forward_intermediates(self.encoder_inputs(images), [layer])[layer]

    @property
    def input_parts(self) -> tuple[str, ...]:
        """The frozen children that :meth:`encoder_inputs` uses, which probes load too."""
        return self.frozen_parts

    @property
    def layers(self) -> list[str]:
        """Names of the encoder's layers, in order of computation."""
        return self.encoder_module.layers

    def channels(self, layer: str) -> int:
        """Channels of a layer's map."""
        return self.encoder_module.channels(layer)

    def time(self, level: int | None) -> float | None:
        """Time input of the network at a noise level; None if the encoder sees clean images."""
        return None

    @property
    def default_level(self) -> int | None:
        """The noise level of features and reconstructions unless stated otherwise."""
        return self.num_levels // 2 or None

    def check_level(self, level: int | None) -> None:
        """Refuse a noise level that does not exist.

        Raises:
            UserError: Names the levels.
        """
        if level not in (range(1, self.num_levels + 1) if self.num_levels else [None]):
            levels = f'the levels 1 to {self.num_levels}' if self.num_levels else 'no noise levels'
            raise UserError(f'noise level {level}: {type(self).__name__} has {levels}')

    def encoder_inputs(self, images: Tensor) -> Tensor:
        """The clean input of the encoder, to which a noise level adds its noise."""
        return images

    def forward_intermediates(
        self,
        x: Tensor,
        layers: Sequence[str] | None = None,
        level: int | None = None,
        noise: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Feature maps by layer, from one pass that ends behind the last of them.

        Args:
            x: Output of :meth:`encoder_inputs`.
            layers: Names of layers; all when None.
            level: Number of the noise level; None for clean images.
            noise: Standard normal, of the shape of ``x``; sampled when None.

        Returns:
            (B, C, h, w) by name.

        Raises:
            UserError: A layer or the level does not exist.
        """
        # Clean images are the only input that every method has; DDAE overrides this.
        self.check_level(level)
        return self.encoder_module.forward_intermediates(x, layers)

    def from_unit_range(self, images: Tensor) -> Tensor:
        """Images in [0, 1] as the data preprocessor gives them."""
        mean, std = self.data_preprocessor.mean / 255, self.data_preprocessor.std / 255
        return (images - mean) / std

    def to_unit_range(self, images: Tensor) -> Tensor:
        """Undo the normalization of the data preprocessor: images in [0, 1], not clamped."""
        mean, std = self.data_preprocessor.mean / 255, self.data_preprocessor.std / 255
        return images * std + mean


def rows_of(views: Sequence[Tensor]) -> tuple[Tensor, int]:
    """Columns (B, 3, H, W) as the images of a grid, row by row, and the number of columns."""
    # (B, V, 3, H, W) -> (B * V, 3, H, W): the views of an image side by side
    return torch.stack(tuple(views), dim=1).flatten(0, 1), len(views)
