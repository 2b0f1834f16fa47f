"""What the functions and tools that generate ask of a model, whatever its method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmaddp.diffusion import ImageNoise
from mmaddp.utils import UserError


class Start(NamedTuple):
    """What generation starts from, for M images of N places.

    ``known`` (M, N, ...) is what stands at the places, ``masked`` (M, N) bool is True at those to
    generate, whose ``known`` is not looked at.
    """

    known: Tensor
    masked: Tensor

    def repeat(self, count: int) -> Start:
        """One image's start for several."""
        return Start(*(each.expand(count, *each.shape[1:]) for each in self))

    def select(self, images: Tensor, device: torch.device) -> Start:
        """The start of some of the images, on a device."""
        return Start(*(each[images].to(device) for each in self))


class ImageGenerator(ABC):
    """A model with what is particular about generating with it.

    Args:
        model: The model.

    Attributes:
        stride: Side in pixels of one place of the image.
        grid: (h, w), the places of an image.
    """

    stride: int
    grid: tuple[int, int]

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @property
    def side(self) -> int:
        """Height and width of the images, in pixels."""
        return self.grid[0] * self.stride

    @property
    @abstractmethod
    def sampler_type(self) -> type:
        """The dataclass of the sampler, whose fields are the settings.

        Raises:
            UserError: The model cannot generate.
        """

    @abstractmethod
    def steps(self, sampler: Any, start: Start, noise: ImageNoise) -> Iterator[Any]:
        """Run the sampler; what it gives after each step that is worth a look."""

    @abstractmethod
    def images(self, step: Any) -> Tensor:
        """The images (B, 3, H, W), about [0, 1], that a step ends with."""

    @abstractmethod
    def views(self, step: Any) -> Tensor:
        """Pictures of a step (B, V, 3, H, W), about [0, 1]: what ``--intermediate`` writes."""

    @abstractmethod
    def values(self, images: Tensor) -> Tensor:
        """What the model keeps of known places: (B, 3, H, W) in [0, 1] -> (B, N, ...)."""

    @abstractmethod
    def nothing(self) -> Tensor:
        """Zeros as :meth:`values` of one image, (1, N, ...)."""

    @abstractmethod
    def check(self, sampler: Any, masked: Tensor) -> None:
        """Refuse places (M, N) bool that the sampler cannot generate.

        Raises:
            UserError: It cannot.
        """

    @abstractmethod
    def reconstruct(self, images: Tensor, noise: ImageNoise) -> Tensor:
        """See :func:`mmaddp.apis.reconstruct`: (B, 3, H, W) in [0, 1] -> the same, about [0, 1]."""

    @abstractmethod
    def maps(self, images: Tensor, noise: ImageNoise) -> Sequence[Tensor]:
        """Feature maps of the encoder: (B, 3, H, W) in [0, 1] -> (B, C, h, w) each."""

    def at(self, level: int | None, layers: Sequence[str] | None) -> ImageGenerator:
        """The same, with the noise level and the layers that are asked for.

        Raises:
            UserError: The model has no noise levels, or none of these numbers and names.
        """
        if level is not None or layers is not None:
            raise UserError(
                f'level, layers: only DDAE has them, this is an {type(self.model).__name__}; '
                'leave them out'
            )
        return self

    def sampler(self, settings: Mapping[str, Any], spelled: Mapping[str, str] | None = None) -> Any:
        """The sampler with some of its settings.

        Args:
            settings: Values by name; the others have their defaults.
            spelled: How the user gave them, where not by these names.

        Raises:
            UserError: The sampler has no such setting, or a value is out of its range.
        """
        return build_sampler(self.sampler_type, settings, spelled or {})

    def blank(self) -> Start:
        """The start of one image that is generated as a whole."""
        known = self.nothing()
        return Start(known, torch.ones(known.shape[:2], dtype=torch.bool))

    def places(self, pixels: np.ndarray) -> Tensor:
        """The places that have a pixel to generate: (M, H, W) bool -> (M, N) bool."""
        cells = torch.from_numpy(pixels).unflatten(2, (-1, self.stride))
        return cells.unflatten(1, (-1, self.stride)).any(4).any(2).flatten(1)

    def check_multiple(self, images: Tensor) -> tuple[int, int]:
        """The grid of images, whose sides must be multiples of the stride.

        Raises:
            UserError: They are not.
        """
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride:
            raise UserError(
                f'images of {height} x {width} pixels: the model wants multiples of {self.stride}; '
                'resize or crop them'
            )
        return height // self.stride, width // self.stride


def build_sampler(kind: type, settings: Mapping[str, Any], spelled: Mapping[str, str]) -> Any:
    """A sampler of a type; arguments as :meth:`ImageGenerator.sampler` takes them.

    Raises:
        UserError: The sampler has no such setting, or a value is out of its range.
    """
    known = [field.name for field in fields(kind)]
    names = {name: spelled.get(name, name) for name in [*settings, *known]}
    unknown = [names[name] for name in settings if name not in known]
    if unknown:
        has = f'only {", ".join(names[name] for name in known)}' if known else 'no settings'
        raise UserError(
            f'{", ".join(unknown)}: {kind.__name__}, which samples from this model, has {has}'
        )
    return kind(**settings)
