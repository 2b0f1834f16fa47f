"""How many tokens are masked at each timestep of the diffusion, and which."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import UserError

TOTAL_STEPS = 100
MAX_STEPS_APART = 5


@TASK_UTILS.register_module()
class MaskSchedule:
    """The mask ratios of pre-training and their probabilities (appendix D.2, figure 12).

    The ratios are the values of ``cos(pi / 2 * t / T)``, t = 1 .. T = 100, from ``min_ratio`` on,
    ascending, so that a larger index stands for a later step of the diffusion. Their probabilities
    follow MAGE's truncated normal distribution. Another registered schedule needs ``ratios``,
    :meth:`sample` and :meth:`num_masked`.

    Args:
        mean: Mean of the normal distribution before truncation.
        std: Its std.
        min_ratio: Smallest ratio, in (0, 1) and at most the largest of the cosine's.
        fixed_ratio: Always this ratio, in (0, 1], table 6's last row; the others are then without
            effect.

    Raises:
        UserError: A ratio is out of its range, in which case nothing would be masked.
    """

    def __init__(
        self,
        mean: float = 0.55,
        std: float = 0.25,
        min_ratio: float = 0.5,
        fixed_ratio: float | None = None,
    ) -> None:
        if fixed_ratio is not None:
            if not 0 < fixed_ratio <= 1:
                raise UserError(f'mask_schedule.fixed_ratio={fixed_ratio}: must be in (0, 1]')
            self.ratios = torch.tensor([fixed_ratio], device='cpu')
            self.probabilities = torch.ones(1, dtype=torch.float64, device='cpu')
            return
        # Ascending ratios: from t = T down to t = 1.
        steps = torch.arange(TOTAL_STEPS, 0, -1, dtype=torch.float64, device='cpu')
        ratios = torch.cos(math.pi / 2 * steps / TOTAL_STEPS)
        if not 0 < min_ratio <= ratios[-1]:
            raise UserError(
                f'mask_schedule.min_ratio={min_ratio}: must be above 0 and at most '
                f'{ratios[-1]:.4f}, the largest ratio of the schedule'
            )
        ratios = ratios[ratios >= min_ratio]
        # Truncated to these ratios and normalized.
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
        """Masked positions at a timestep, of ``num_tokens``."""
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
