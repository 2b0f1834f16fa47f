"""Flow matching, straight paths between images and noise (Lipman et al., 2023; SiT)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import check_choice

from .base import DiffusionProcess, Level, Network, per_image


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class FlowMatching(DiffusionProcess):
    """x_t = (1 - sigma) x_0 + sigma epsilon; the network predicts a velocity.

    A level is sigma, the std of the noise, in (0, 1].

    Args:
        num_steps: Levels, numbered from 1; the last is noise alone.
        shift: Larger values put the levels closer to noise, as Stable Diffusion 3 does.
        data_time: Where the network's time has the data: 0, as in diffusers and REPA, whose
            velocity is epsilon - x_0; or 1, as in the code of SiT's authors, whose velocity is
            x_0 - epsilon.
        time_scale: Time input of a time of 1: 1000 in diffusers, 1 in SiT and REPA.

    Raises:
        UserError: ``data_time`` is neither.
    """

    num_steps: int = 1000
    shift: float = 1.0
    data_time: int = 0
    time_scale: float = 1000.0

    def __post_init__(self) -> None:
        check_choice('data_time', self.data_time, (0, 1))

    @property
    def num_levels(self) -> int:
        """The steps."""
        return self.num_steps

    def numbered_level(self, number: int) -> float:
        """sigma = s r / (1 + (s - 1) r) for the share r of the steps."""
        share = number / self.num_steps
        return self.shift * share / (1 + (self.shift - 1) * share)

    def number(self, level: Level) -> Tensor:
        """Inverse of the levels."""
        sigma = torch.as_tensor(level, dtype=torch.float64)
        # r = sigma / (s - (s - 1) sigma)
        return (self.num_steps * sigma / (self.shift - (self.shift - 1) * sigma)).float()

    def sample_levels(
        self,
        count: int,
        device: torch.device | str = 'cpu',
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """sigma ~ Uniform(0, 1], shifted: (count,), float32."""
        # In (0, 1], since sigma = 0 leaves no noise to predict.
        share = 1 - torch.rand(count, device=device, generator=generator)
        return self.shift * share / (1 + (self.shift - 1) * share)

    def perturb(self, x_0: Tensor, level: Level, noise: Tensor) -> Tensor:
        """The straight path, see the base class."""
        sigma = per_image(level, x_0)
        # alpha_t = 1 - sigma_t
        return (1 - sigma) * x_0 + sigma * noise

    def time(self, level: Level) -> Tensor:
        """sigma where the data are at 0, else 1 - sigma, in the network's unit."""
        sigma = torch.as_tensor(level).float()
        return self.time_scale * (1 - sigma if self.data_time else sigma)

    def level_at(self, time: float) -> float:
        """sigma of a time input."""
        share = time / self.time_scale
        return 1 - share if self.data_time else share

    def scale_input(self, x_t: Tensor, level: Level) -> Tensor:
        """x_t itself."""
        return x_t

    def denoise(self, network: Network, x_t: Tensor, level: Level) -> Tensor:
        """D(x_t, t) = x_t - sigma (epsilon - x_0)."""
        velocity = self.predict(network, x_t, level)
        step = per_image(level, x_t) * velocity
        # x_0 = x_t - sigma (epsilon - x_0), from the path's two ends.
        return x_t + step if self.data_time else x_t - step

    def loss(self, network: Network, x_0: Tensor, level: Level, noise: Tensor) -> Tensor:
        """||v(x_t, t) - (epsilon - x_0)||^2, the mean over all values."""
        # d x_t / d t, which changes its sign with the direction of time.
        velocity = x_0 - noise if self.data_time else noise - x_0
        predicted = self.predict(network, self.perturb(x_0, level, noise), level)
        return ((predicted - velocity) ** 2).mean()
