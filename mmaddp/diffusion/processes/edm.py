"""EDM, variance-exploding diffusion with preconditioning (Karras et al., 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import check_range

from .base import DiffusionProcess, Level, Network, per_image


class Preconditioning(NamedTuple):
    """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise), a factor for each image (B, 1, 1, 1)."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class EDM(DiffusionProcess):
    """x_t = x_0 + sigma epsilon, with a preconditioned network.

    It follows the last column of table 1 of EDM's paper. In training ln sigma is normal. Sampling
    and probing use the sigmas of a schedule, numbered from 1 for sigma_min to ``num_steps`` for
    sigma_max; level 4 of 18 is sigma = 0.06.

    Args:
        sigma_data: Std of the pixels of clean images.
        p_mean: Mean of ln sigma in training.
        p_std: Its std.
        sigma_min: The least sigma of the schedule.
        sigma_max: The largest sigma of the schedule.
        rho: Larger values put small sigmas closer together.
        num_steps: Levels of the schedule.

    Raises:
        UserError: A number is out of its range.
    """

    sigma_data: float = 0.5
    p_mean: float = -1.2
    p_std: float = 1.2
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    num_steps: int = 18

    # A network is told sigma and scaled by sigma_data. The rest says which sigmas it sees.
    free_settings = ('p_mean', 'p_std', 'sigma_min', 'sigma_max', 'rho', 'num_steps')

    def __post_init__(self) -> None:
        check_range('sigma_data', self.sigma_data, 0, above=True)
        check_range('rho', self.rho, 0, above=True)
        check_range('sigma_min', self.sigma_min, 0, self.sigma_max, above=True)

    def schedule(self, steps: int) -> Tensor:
        """The sigmas of sampling, falling from sigma_max to sigma_min and then 0 (equation 5).

        Args:
            steps: Number of sigmas above 0, at least 2.

        Returns:
            (steps + 1,), float64.
        """
        largest, least = (sigma ** (1 / self.rho) for sigma in (self.sigma_max, self.sigma_min))
        # (sigma_max^(1/rho) + i / (N - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho
        sigmas = torch.linspace(largest, least, steps, dtype=torch.float64) ** self.rho
        return torch.cat([sigmas, sigmas.new_zeros(1)])

    @property
    def num_levels(self) -> int:
        """The steps of the schedule."""
        return self.num_steps

    def numbered_level(self, number: int) -> float:
        """The sigma of a number."""
        # Reversed, the schedule begins with 0, a clean image, as number 0.
        return self.schedule(self.num_steps).flip(0)[number].item()

    def number(self, level: Level) -> Tensor:
        """Inverse of the schedule."""
        # sigma^(1/rho) is linear in the number.
        sigma = torch.as_tensor(level, dtype=torch.float64)
        least, largest = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        share = (sigma ** (1 / self.rho) - least) / (largest - least)
        return (1 + (self.num_steps - 1) * share).float()

    def sample_levels(
        self,
        count: int,
        device: torch.device | str = 'cpu',
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """ln sigma ~ N(p_mean, p_std^2): sigma (count,), float32."""
        normal = torch.randn(count, device=device, generator=generator)
        return (self.p_mean + self.p_std * normal).exp()

    def perturb(self, x_0: Tensor, level: Level, noise: Tensor) -> Tensor:
        """Equation 1 with alpha_t = 1, see the base class."""
        return x_0 + per_image(level, x_0) * noise

    def preconditioning(self, level: Level, images: Tensor) -> Preconditioning:
        """The factors that give the network's input and target unit variance."""
        sigma = per_image(level, images)
        # Table 1: network and preconditioning. c_noise is :meth:`time`.
        total = sigma**2 + self.sigma_data**2
        return Preconditioning(
            c_skip=self.sigma_data**2 / total,
            c_out=sigma * self.sigma_data / total.sqrt(),
            c_in=1 / total.sqrt(),
        )

    def time(self, level: Level) -> Tensor:
        """c_noise = ln(sigma) / 4."""
        return torch.as_tensor(level).float().log() / 4

    def level_at(self, time: float) -> float:
        """sigma = exp(4 c_noise)."""
        return math.exp(4 * time)

    def scale_input(self, x_t: Tensor, level: Level) -> Tensor:
        """c_in x_t."""
        return self.preconditioning(level, x_t).c_in * x_t

    def denoise(self, network: Network, x_t: Tensor, level: Level) -> Tensor:
        """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise), equation 7 of EDM's paper."""
        factors = self.preconditioning(level, x_t)
        return factors.c_skip * x_t + factors.c_out * self.predict(network, x_t, level)

    def weight(self, level: Level, images: Tensor) -> Tensor:
        """lambda(sigma) = 1 / c_out^2, so that every level has the same weight at the network."""
        return self.preconditioning(level, images).c_out ** -2

    def loss(self, network: Network, x_0: Tensor, level: Level, noise: Tensor) -> Tensor:
        """lambda(sigma) ||D(x_t; sigma) - x_0||^2, the mean over all values."""
        denoised = self.denoise(network, self.perturb(x_0, level, noise), level)
        return (self.weight(level, x_0) * (denoised - x_0) ** 2).mean()
