"""MAGE's generation of VQ tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import check_range

from .addp_sampler import confidence, cosine_ratio
from .image_noise import ImageNoise
from .mask_schedule import equal_count, masks_from_noise
from .token_sampling import sample_codes


class MAGEStep(NamedTuple):
    """State after a step: tokens z (B, N), sampled where masked, and m (B, N) bool still masked."""

    z: Tensor
    m: Tensor


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class MAGESampler:
    """MaskGIT's iterative decoding as MAGE's gen_img_uncond.py has it.

    The defaults are the released command's. ADDP's table 7 re-evaluates MAGE with other settings.

    Args:
        steps: Number of sampling steps.
        temperature: Weight of the Gumbel noise in the confidences. It falls linearly to 0.

    Raises:
        UserError: A setting is out of its range.
    """

    steps: int = 20
    temperature: float = 6.0

    def __post_init__(self) -> None:
        check_range('steps', self.steps, 1)
        check_range('temperature', self.temperature, 0)

    @torch.no_grad()
    def __call__(self, model: Any, z: Tensor, m: Tensor, noise: ImageNoise) -> Iterator[MAGEStep]:
        """Generate the tokens of the masked positions.

        Args:
            model: A function of tokens and masks that gives probabilities (B, N, K), such as
                :class:`mmaddp.models.MAGE`.
            z: (B, N) token ids; ignored at masked positions.
            m: (B, N) bool, True where a token is generated, the same number in each row.
            noise: The noise of these B images.

        Yields:
            The state after each step; nothing is masked after the last.
        """
        num_masked = num_left = equal_count(m)
        for step in range(self.steps):
            probs = model(z, m)
            sampled = sample_codes(probs, noise.uniform(m))
            tau = self.temperature * (1 - (step + 1) / self.steps)
            scores = confidence(probs, sampled, m, tau, noise.uniform(m))
            z = torch.where(m, sampled, z)
            # The least confident tokens are masked again.
            num_left = self.num_left(step, num_masked, num_left)
            m = masks_from_noise(scores, num_left)
            yield MAGEStep(z, m)

    def num_left(self, step: int, num_masked: int, before: int) -> int:
        """Positions left masked after a step: ``floor(n * cos)``, in 1 .. before - 1.

        Args:
            step: 0 .. steps - 1.
            num_masked: n, those masked at first.
            before: Those masked before the step.
        """
        if step + 1 == self.steps:
            return 0
        ratio = cosine_ratio((step + 1) / self.steps)
        # A last position stays masked, and is sampled again, until the last step.
        return min(before, max(1, min(before - 1, math.floor(num_masked * ratio))))
