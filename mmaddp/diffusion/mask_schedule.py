"""Mask ratios of the diffusion's timesteps, and masks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import UserError, check_range

TOTAL_STEPS = 100
MAX_STEPS_APART = 5


@TASK_UTILS.register_module()
class MaskSchedule:
    """The mask ratios of pre-training and their probabilities (appendix D.2, figure 12).

    The ratios are ``cos(pi / 2 * t / T)``, t = 1 .. T = 100, from ``min_ratio`` on, ascending: a
    larger index is a later step of the diffusion. Their probabilities follow MAGE's truncated
    normal distribution. Another registered schedule needs ``ratios``, :meth:`sample` and
    :meth:`num_masked`.

    Args:
        mean: Mean of the normal distribution before truncation.
        std: Its std.
        min_ratio: Smallest ratio.
        fixed_ratio: Always this ratio, table 6's last row, instead of the other arguments.

    Raises:
        UserError: A ratio is out of its range.
    """

    def __init__(
        self,
        mean: float = 0.55,
        std: float = 0.25,
        min_ratio: float = 0.5,
        fixed_ratio: float | None = None,
    ) -> None:
        if fixed_ratio is not None:
            # A ratio of 0 would mask nothing, and the loss be NaN.
            check_range('mask_schedule.fixed_ratio', fixed_ratio, 1e-6, 1)
            self.ratios = torch.tensor([fixed_ratio], device='cpu')
            self.probabilities = torch.ones(1, dtype=torch.float64, device='cpu')
            return
        # Ascending ratios: from t = T down to t = 1.
        steps = torch.arange(TOTAL_STEPS, 0, -1, dtype=torch.float64, device='cpu')
        ratios = torch.cos(math.pi / 2 * steps / TOTAL_STEPS)
        check_range('mask_schedule.min_ratio', min_ratio, 0, ratios[-1].item())
        ratios = ratios[ratios >= min_ratio]
        # N(mean, std^2), truncated to these ratios and normalized.
        density = torch.exp(-0.5 * ((ratios - mean) / std) ** 2)
        self.ratios = ratios.float()
        self.probabilities = density / density.sum()

    def sample(self, direction: int = 1) -> tuple[int, int]:
        """Sample a timestep and another up to 5 steps away (algorithm 1, line 2).

        Args:
            direction: 1 for a later step of the diffusion, -1 for an earlier one.

        Returns:
            Indices into ``ratios``; at the ends they may be the same.
        """
        index = int(torch.multinomial(self.probabilities, 1))
        other = index + direction * int(torch.randint(1, MAX_STEPS_APART + 1, ()))
        return index, min(max(other, 0), len(self.ratios) - 1)

    def num_masked(self, index: int, num_tokens: int) -> int:
        """Masked positions of ``num_tokens`` at a timestep; at least one."""
        return math.ceil(num_tokens * self.ratios[index].item())


def masks_from_noise(noise: Tensor, num_masked: int) -> Tensor:
    """Mask the positions of the smallest noise; masks of the same noise nest.

    Args:
        noise: (B, N), one value per position.
        num_masked: Positions to mask in each row.

    Returns:
        (B, N) bool, with exactly ``num_masked`` True in each row, equal values or not.
    """
    # A stable sort gives exact counts for repeated values.
    order = noise.argsort(dim=1, stable=True)
    return torch.zeros_like(noise, dtype=torch.bool).scatter(1, order[:, :num_masked], True)


def equal_count(m_t: Tensor) -> int:
    """The number of masked positions, which all rows of (B, N) must share."""
    counts = m_t.sum(1).unique().tolist()
    if len(counts) != 1:
        raise UserError(f'masks of one batch must mask equally many positions, not {counts}')
    return counts[0]
