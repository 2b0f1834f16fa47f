"""A schedule of masks and one of noise, for any method that takes one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mmaddp.diffusion import DDPM, MaskSchedule
from mmaddp.registry import TASK_UTILS


@TASK_UTILS.register_module()
class EvenMaskSchedule(MaskSchedule):
    """Mask ratios at even steps between two, all equally probable."""

    def __init__(self, low: float = 0.5, high: float = 0.9, count: int = 9) -> None:
        self.ratios = torch.linspace(low, high, count)
        self.probabilities = torch.full((count,), 1 / count)


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class CosineDDPM(DDPM):
    """DDPM with the cosine schedule of Nichol and Dhariwal (2021), their equation 17."""

    offset: float = 0.008

    @cached_property
    def alpha_bars(self) -> Tensor:
        """alpha_bar_t by t = 0 .. T, (T + 1,) float64; betas are at most 0.999."""
        t = torch.linspace(0, 1, self.num_timesteps + 1, dtype=torch.float64)
        f = ((t + self.offset) / (1 + self.offset) * math.pi / 2).cos() ** 2
        alphas = (f[1:] / f[:-1]).clamp(min=0.001)
        return torch.cat([f.new_ones(1), alphas.cumprod(0)])
