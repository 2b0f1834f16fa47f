"""The interface of diffusion processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, Callable, Union

import torch
from torch import Tensor

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import UserError

Network = Callable[[Tensor, Tensor], Tensor]
Level = Union[Tensor, float]


class DiffusionProcess(ABC):
    """A forward process and its training objective, a dataclass without weights or samplers.

    The network is any callable ``(x, time)`` from float32 images (B, 3, H, W) in [-1, 1] and the
    float32 time input (B,) to (B, 3, H, W). Latent models have latents (B, C, h, w) instead.

    A ``level`` is the timestep t of DDPM or the std sigma of EDM: (B,), or one for all images.

    Attributes:
        free_settings: Settings that may change after the training, such as those of sampling.
    """

    free_settings: tuple = ()

    @property
    def identity(self) -> dict[str, Any]:
        """Config of the process as far as a network depends on it; checkpoints keep it."""
        # The weights do not depend on the free settings.
        names = [field.name for field in fields(self) if field.name not in self.free_settings]
        kind = f'{TASK_UTILS.scope}.{type(self).__name__}'
        return {'type': kind, **{name: getattr(self, name) for name in names}}

    @property
    @abstractmethod
    def num_levels(self) -> int:
        """Number of levels, see :meth:`level`."""

    @abstractmethod
    def numbered_level(self, number: int) -> float:
        """The level of a valid number."""

    @abstractmethod
    def number(self, level: Level) -> Tensor:
        """Inverse of :meth:`level`, fractional between two levels; float32, shaped as ``level``."""

    @abstractmethod
    def sample_levels(
        self,
        count: int,
        device: torch.device | str = 'cpu',
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The levels of a training batch: (count,), independent; ``generator`` of that device."""

    @abstractmethod
    def perturb(self, x_0: Tensor, level: Level, noise: Tensor) -> Tensor:
        """x_t = alpha_t x_0 + sigma_t epsilon (equation 1).

        Args:
            x_0: (B, 3, H, W) in [-1, 1].
            level: (B,) or a number.
            noise: epsilon, standard normal, as ``x_0``.
        """

    @abstractmethod
    def time(self, level: Level) -> Tensor:
        """The network's time input: float32, shaped as ``level``."""

    @abstractmethod
    def level_at(self, time: float) -> Level:
        """Inverse of :meth:`time`."""

    @abstractmethod
    def scale_input(self, x_t: Tensor, level: Level) -> Tensor:
        """The network's input for noised images."""

    @abstractmethod
    def denoise(self, network: Network, x_t: Tensor, level: Level) -> Tensor:
        """D(x_t, t), the predicted clean images, not clipped, with the type of ``x_t``."""

    @abstractmethod
    def loss(self, network: Network, x_0: Tensor, level: Level, noise: Tensor) -> Tensor:
        """The training objective, a scalar; arguments are those of :meth:`perturb`."""

    def level(self, number: int) -> float:
        """The level of a number, as the authors of DDAE count them in probing.

        Args:
            number: 1, nearly clean, to ``num_levels``.

        Raises:
            UserError: There is no such level.
        """
        if number not in range(1, self.num_levels + 1):
            raise UserError(
                f'noise level {number}: {type(self).__name__} has the levels 1 to {self.num_levels}'
            )
        return self.numbered_level(int(number))

    def network_input(self, x_t: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """Arguments of the network: images (B, 3, H, W) and time (B,), both float32."""
        # One level for all images becomes one for each.
        time = self.time(level).to(x_t.device).expand(len(x_t))
        return self.scale_input(x_t, level).float(), time

    def predict(self, network: Network, x_t: Tensor, level: Level) -> Tensor:
        """The network's prediction for noised images, with their type."""
        return network(*self.network_input(x_t, level)).to(x_t.dtype)


def per_image(values: Level, images: Tensor) -> Tensor:
    """Values (B,), or one for all, as (B, 1, 1, 1) with the type of images (B, 3, H, W)."""
    return torch.as_tensor(values).to(images).view(-1, 1, 1, 1)
