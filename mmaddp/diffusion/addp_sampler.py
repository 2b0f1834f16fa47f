"""ADDP's generation: algorithm 2."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import check_choice, check_range

from .image_noise import ImageNoise
from .mappings import sampling
from .mask_schedule import equal_count, masks_from_noise
from .token_sampling import nucleus, sample_codes


def linear_ratio(progress: float) -> float:
    """``k = t / T`` of appendix D.4, with ``progress = (T - t) / T`` in [0, 1]."""
    return 1 - progress


def cosine_ratio(progress: float) -> float:
    """``k = cos(pi / 2 * (T - t) / T)`` of appendix D.4."""
    return math.cos(math.pi / 2 * progress)


SCHEDULES = {'linear': linear_ratio, 'cosine': cosine_ratio}


class Step(NamedTuple):
    """State after a step of the sampler: x_t (B, 3, H, W), z_t (B, N) and m_t (B, N) bool."""

    x_t: Tensor
    z_t: Tensor
    m_t: Tensor


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class ADDPSampler:
    """The alternating denoising of algorithm 2, with MaskGIT's choice of the reliable tokens.

    Tokens are sampled among the K codes, not the whole vocabulary. Known tokens stay.

    Args:
        steps: T, the number of sampling steps.
        schedule: 'cosine' (the released command's, with its 20 steps) or 'linear' (figure 6), the
            share of positions masked after each step.
        temperature: tau, the weight of the Gumbel noise in the confidences.
        decaying: Whether tau falls linearly to 0 at the last step (table 11).
        top_p: Tokens are sampled from the most probable codes that together have this probability
            (table 10).

    Raises:
        UserError: A setting is out of its range.
    """

    steps: int = 20
    schedule: str = 'cosine'
    temperature: float = 6.0
    decaying: bool = True
    top_p: float = 1.0

    def __post_init__(self) -> None:
        check_range('steps', self.steps, 1)
        check_choice('schedule', self.schedule, SCHEDULES)
        check_range('temperature', self.temperature, 0)
        check_range('top_p', self.top_p, 0, 1, above=True)

    @torch.no_grad()
    def __call__(self, model: Any, z_t: Tensor, m_t: Tensor, noise: ImageNoise) -> Iterator[Step]:
        """Generate the tokens of the masked positions.

        The first step samples from line 1's unconditional prediction, or, with known tokens, from
        the prediction given these.

        Args:
            model: Has ``code_probs``, ``encode`` and ``synthesize`` of
                :class:`mmaddp.models.ADDP`, in evaluation mode.
            z_t: (B, N) token ids; ignored at masked positions.
            m_t: (B, N) bool, True where a token is generated, the same number in each row.
            noise: The noise of these B images.

        Yields:
            The state after each step; nothing is masked after the last. If nothing is masked at
            first, a single step decodes the known tokens.

        Raises:
            UserError: There are more steps than tokens to generate, or rows of ``m_t`` mask
                different numbers of positions.
        """
        num_masked = equal_count(m_t)
        self.check_steps(num_masked)
        nothing_known = torch.ones_like(m_t[:1])
        probs = model.code_probs(None, z_t[:1], nothing_known).expand(len(z_t), -1, -1)  # line 1
        if not m_t.all():
            x_t = model.synthesize(z_t, m_t, unreliable(model, probs, m_t, noise))  # line 2
            if not num_masked:  # nothing to generate
                yield Step(x_t, z_t, m_t)
                return
            probs = model.code_probs(model.encode(x_t, z_t, m_t), z_t, m_t)
        for step in range(self.steps):
            sampled = sample_codes(nucleus(probs, self.top_p), noise.uniform(m_t))  # line 6
            # MaskGIT's choice: the least confident tokens stay masked.
            scores = confidence(probs, sampled, m_t, self.tau(step), noise.uniform(m_t))
            m_next = masks_from_noise(scores, self.num_left(step, num_masked))
            z_t = torch.where(m_t & ~m_next, sampled, z_t)  # line 7
            m_t = m_next
            x_t = model.synthesize(z_t, m_t, unreliable(model, probs, m_t, noise))  # lines 8, 9
            yield Step(x_t, z_t, m_t)
            if step + 1 < self.steps:
                e_t = model.encode(x_t, z_t, m_t)  # line 4
                probs = model.code_probs(e_t, z_t, m_t)  # line 5

    def check_steps(self, num_masked: int) -> None:
        """Refuse more steps than tokens to generate."""
        check_range('steps', self.steps, 1, num_masked or self.steps)

    def num_left(self, step: int, num_masked: int) -> int:
        """Positions left masked after a step, ``ceil(n * k)`` of the n masked at first (D.4).

        Args:
            step: 0 .. T - 1.
            num_masked: n.
        """
        ratio = SCHEDULES[self.schedule]((step + 1) / self.steps)
        # Round first: 10 * 0.3 or the cosine of 90 degrees would leave one position too many.
        return math.ceil(round(num_masked * ratio, 6))

    def tau(self, step: int) -> float:
        """Weight of the Gumbel noise at a step, 0 .. T - 1 (appendix C.4, table 11)."""
        share = 1 - (step + 1) / self.steps if self.decaying else 1.0
        return self.temperature * share


def unreliable(model: Any, probs: Tensor, m_t: Tensor, noise: ImageNoise) -> Tensor:
    """Input of the mapping f: ``probs`` (B, N, K), or a sampled one-hot code for 'Sampling'."""
    # 'Sampling' would use PyTorch's global generator; a one-hot input makes it deterministic.
    if model.map_probs is not sampling:
        return probs
    return F.one_hot(sample_codes(probs, noise.uniform(m_t)), probs.shape[-1]).to(probs)


def confidence(
    probs: Tensor, sampled: Tensor, m_t: Tensor, temperature: float, uniform: Tensor
) -> Tensor:
    """``s = log p + tau * Gumbel noise`` of the sampled codes; known ones are certain (C.4).

    Args:
        probs: (B, N, K).
        sampled: (B, N), the codes.
        m_t: (B, N) bool, False where the token is known.
        temperature: tau.
        uniform: (B, N), float64 in [0, 1), the source of the noise.

    Returns:
        (B, N), float64, infinite at known positions.
    """
    log_p = probs.gather(-1, sampled[..., None]).squeeze(-1).double().log()
    # -log(-log(u)), with u > 0.
    gumbel = -(-uniform.clamp(min=torch.finfo(uniform.dtype).tiny).log()).log()
    return (log_p + temperature * gumbel).masked_fill(~m_t, math.inf)
