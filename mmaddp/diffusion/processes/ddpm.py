"""DDPM, variance-preserving diffusion with discrete timesteps (Ho et al., 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import check_choice, check_range

from ..gaussian import perturb, x0_from_epsilon
from .base import DiffusionProcess, Level, Network, per_image

TIME_INPUTS = ('fraction', 'index')
SCHEDULES = ('linear', 'scaled_linear', 'cosine')
MAX_BETA = 0.999


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class DDPM(DiffusionProcess):
    """Timesteps t = 1 .. T with linear betas; the network predicts the noise (section 3.1).

    alpha_t^2 = alpha_bar_t = prod_{i <= t} (1 - beta_i) and sigma_t^2 = 1 - alpha_bar_t.

    Args:
        num_timesteps: T.
        beta_start: beta_1.
        beta_end: beta_T.
        time_input: 'fraction' for t / T, as in the authors' code; 'index' for t - 1, for networks
            that count timesteps from 0, such as DiT and those of ``diffusers``.
        schedule: The betas: 'linear'; 'scaled_linear', whose roots are linear, as in Stable
            Diffusion; or 'cosine' (Nichol and Dhariwal, 2021), without ``beta_start`` and
            ``beta_end``.

    Raises:
        UserError: ``time_input`` or ``schedule`` is none of these, or the betas do not rise inside
            (0, 1).
    """

    num_timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    time_input: str = 'fraction'
    schedule: str = 'linear'

    def __post_init__(self) -> None:
        check_choice('time_input', self.time_input, TIME_INPUTS)
        check_choice('schedule', self.schedule, SCHEDULES)
        # At 1 nothing of the image would be left to scale up again.
        check_range('beta_end', self.beta_end, 0, 0.999, above=True)
        check_range('beta_start', self.beta_start, 0, self.beta_end, above=True)

    @cached_property
    def alpha_bars(self) -> Tensor:
        """alpha_bar_t by t = 0 .. T, (T + 1,) float64."""
        betas = self.betas()
        # alpha_bar_0 = 1, so that t indexes the result.
        return torch.cat([betas.new_ones(1), (1 - betas).cumprod(0)])

    def betas(self) -> Tensor:
        """beta_t by t = 1 .. T, (T,) float64."""
        count, ends = self.num_timesteps, (self.beta_start, self.beta_end)
        if self.schedule == 'linear':
            return torch.linspace(*ends, count, dtype=torch.float64)
        if self.schedule == 'scaled_linear':
            return torch.linspace(*(end**0.5 for end in ends), count, dtype=torch.float64) ** 2
        # alpha_bar(t) = cos^2((t / T + 0.008) / 1.008 * pi / 2), beta_t = 1 - its ratio
        share = torch.arange(count + 1, dtype=torch.float64) / count
        alpha_bar = ((share + 0.008) / 1.008 * torch.pi / 2).cos() ** 2
        return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=MAX_BETA)

    @property
    def num_levels(self) -> int:
        """T."""
        return self.num_timesteps

    def numbered_level(self, number: int) -> int:
        """The timestep, which is its own number."""
        return number

    def number(self, level: Level) -> Tensor:
        """The timestep."""
        return torch.as_tensor(level).float()

    def sample_levels(
        self,
        count: int,
        device: torch.device | str = 'cpu',
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """t ~ Uniform{1 .. T}: (count,), int64."""
        end = self.num_timesteps + 1
        return torch.randint(1, end, (count,), device=device, generator=generator)

    def alpha_bar(self, level: Level, images: Tensor) -> Tensor:
        """alpha_bar_t of each image, to broadcast with them."""
        level = torch.as_tensor(level)
        return per_image(self.alpha_bars.to(level.device)[level], images)

    def perturb(self, x_0: Tensor, level: Level, noise: Tensor) -> Tensor:
        """Equation 1, see the base class."""
        return perturb(x_0, self.alpha_bar(level, x_0), noise)

    def time(self, level: Level) -> Tensor:
        """t / T, or t - 1."""
        t = torch.as_tensor(level).float()
        # Networks that count timesteps from 0 call the first one 0.
        return t - 1 if self.time_input == 'index' else t / self.num_timesteps

    def level_at(self, time: float) -> int:
        """The timestep."""
        return round(time + 1 if self.time_input == 'index' else time * self.num_timesteps)

    def scale_input(self, x_t: Tensor, level: Level) -> Tensor:
        """x_t itself, whose variance is about 1 at every level."""
        return x_t

    def denoise(self, network: Network, x_t: Tensor, level: Level) -> Tensor:
        """D(x_t, t) = (x_t - sigma_t epsilon(x_t, t)) / alpha_t (section 3.1)."""
        # alpha_t = sqrt(alpha_bar_t), sigma_t = sqrt(1 - alpha_bar_t)
        epsilon = self.predict(network, x_t, level)
        return x0_from_epsilon(x_t, self.alpha_bar(level, x_t), epsilon)

    def loss(self, network: Network, x_0: Tensor, level: Level, noise: Tensor) -> Tensor:
        """||epsilon(x_t, t) - epsilon||^2, the mean over all values."""
        return F.mse_loss(self.predict(network, self.perturb(x_0, level, noise), level), noise)
