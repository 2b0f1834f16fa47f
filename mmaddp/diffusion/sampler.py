"""ADDP's generation: algorithm 2 and the small functions that it is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmaddp.utils import UserError

from .mappings import sampling
from .mask_schedule import masks_from_noise

# Sums of integers are the same in any order, those of floats are not on a GPU.
FIXED_POINT = 2.0**50


def linear_ratio(progress: float) -> float:
    """``k = t / T`` of appendix D.4, with ``progress = (T - t) / T`` in [0, 1]."""
    return 1 - progress


def cosine_ratio(progress: float) -> float:
    """``k = cos(pi / 2 * (T - t) / T)`` of appendix D.4."""
    return math.cos(math.pi / 2 * progress)


SCHEDULES = {'linear': linear_ratio, 'cosine': cosine_ratio}


class Step(NamedTuple):
    """What a step of the sampler ends with: x_t (B, 3, H, W), z_t (B, N) and m_t (B, N) bool."""

    x_t: Tensor
    z_t: Tensor
    m_t: Tensor


@dataclass(frozen=True)
class Sampler:
    """The alternating denoising of algorithm 2, with MaskGIT's choice of the reliable tokens.

    The probabilities are those of the K codes alone, the other words of the vocabulary left out.
    They enter x_t by the model's mapping f, and known tokens are never drawn again.

    Args:
        steps: T, how often tokens are drawn.
        schedule: 'linear' or 'cosine', which share of the places is masked after each step.
        temperature: tau, the weight of the Gumbel noise in the confidences.
        decaying: Whether tau falls linearly, to 0 at the last step (table 11).
        top_p: Tokens are drawn from the most probable codes that together have this probability
            (table 10).

    Raises:
        UserError: A setting is out of its range.
    """

    steps: int = 20
    schedule: str = 'linear'
    temperature: float = 6.0
    decaying: bool = True
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f'steps={self.steps}: must be 1 or more')
        if self.schedule not in SCHEDULES:
            raise UserError(f'schedule={self.schedule!r} is none of {", ".join(SCHEDULES)}')
        if not 0 <= self.temperature < math.inf:
            raise UserError(f'temperature={self.temperature}: must be 0 or more')
        if not 0 < self.top_p <= 1:
            raise UserError(f'top_p={self.top_p}: must be in (0, 1]')

    @torch.no_grad()
    def __call__(self, model: Any, z_t: Tensor, m_t: Tensor, noise: ImageNoise) -> Iterator[Step]:
        """Generate the tokens of the masked places.

        The first of the ``steps`` draws from line 1's prediction, which sees nothing. Where tokens
        are known, it draws from what the model makes of them instead.

        Args:
            model: Has ``decode``, ``encode`` and ``synthesize`` of :class:`mmaddp.models.ADDP`, in
                evaluation mode.
            z_t: (B, N) token ids; those at masked places are not looked at.
            m_t: (B, N) bool, True where a token is to be generated, the same number in each row.
            noise: That of these B images.

        Yields:
            What each step ends with; after the last one no place is masked. When none is to begin
            with, a single step decodes the known tokens.

        Raises:
            UserError: There are more steps than tokens to generate.
            ValueError: Rows of ``m_t`` mask different numbers of places.
        """
        num_masked = equal_count(m_t)
        self.check_steps(num_masked)
        nothing_known = model.decode(None, z_t[:1], torch.ones_like(m_t[:1]))
        probs = code_probs(model, nothing_known).expand(len(z_t), -1, -1)  # line 1
        if not m_t.all():
            x_t = model.synthesize(z_t, m_t, unreliable(model, probs, m_t, noise))  # line 2
            if not num_masked:
                yield Step(x_t, z_t, m_t)
                return
            probs = code_probs(model, model.decode(model.encode(x_t, z_t, m_t), z_t, m_t))
        for step in range(self.steps):
            drawn = sample_codes(nucleus(probs, self.top_p), noise.uniform(m_t))  # line 6
            scores = confidence(probs, drawn, m_t, self.tau(step), noise.uniform(m_t))
            m_next = masks_from_noise(scores, self.num_left(step, num_masked))
            z_t = torch.where(m_t & ~m_next, drawn, z_t)  # line 7
            m_t = m_next
            x_t = model.synthesize(z_t, m_t, unreliable(model, probs, m_t, noise))  # lines 8, 9
            yield Step(x_t, z_t, m_t)
            if step + 1 < self.steps:
                e_t = model.encode(x_t, z_t, m_t)  # line 4
                probs = code_probs(model, model.decode(e_t, z_t, m_t))  # line 5

    def check_steps(self, num_masked: int) -> None:
        """Refuse more steps than tokens to generate, unless there are none at all."""
        if 0 < num_masked < self.steps:
            raise UserError(
                f'steps={self.steps}: more than the {num_masked} tokens to generate; '
                f'set steps to {num_masked} or fewer'
            )

    def num_left(self, step: int, num_masked: int) -> int:
        """Places left masked after a step, ``ceil(n * k)`` of the n masked at first (D.4).

        Args:
            step: 0 .. T - 1.
            num_masked: n.
        """
        ratio = SCHEDULES[self.schedule]((step + 1) / self.steps)
        # Without rounding, 10 * 0.3 or the cosine of 90 degrees would leave a place too many.
        return math.ceil(round(num_masked * ratio, 6))

    def tau(self, step: int) -> float:
        """Weight of the Gumbel noise at a step, 0 .. T - 1 (appendix C.4, table 11)."""
        share = 1 - (step + 1) / self.steps if self.decaying else 1.0
        return self.temperature * share


class ImageNoise:
    """The randomness of a batch: that of each image is a function of its seed and index alone.

    It is drawn on the CPU, so neither batch nor process nor device changes it.

    Args:
        seed: Any integer from 0 on.
        indices: The number of each image among all of this seed.
    """

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        # PyTorch's generator keeps 32 bits of a seed, too few to tell many images apart.
        sequences = (np.random.SeedSequence(seed, spawn_key=(index,)) for index in indices)
        self.generators = [np.random.Generator(np.random.PCG64(one)) for one in sequences]

    def uniform(self, like: Tensor) -> Tensor:
        """Independent values of [0, 1), (B, N) float64, on the device of ``like`` (B, N)."""
        values = [generator.random(like.shape[1]) for generator in self.generators]
        return torch.from_numpy(np.stack(values)).to(like.device)

    def normal(self, like: Tensor) -> Tensor:
        """Independent standard normal values of the shape, type and device of ``like`` (B, ...)."""
        shape = like.shape[1:]
        values = [
            generator.standard_normal(shape, dtype=np.float32) for generator in self.generators
        ]
        return torch.from_numpy(np.stack(values)).to(like)


def equal_count(m_t: Tensor) -> int:
    """The number of masked places, which all rows of (B, N) must share."""
    counts = m_t.sum(1).unique().tolist()
    if len(counts) != 1:
        raise ValueError(f'masks of one batch must mask equally many places, not {counts}')
    return counts[0]


def code_probs(model: Any, logits: Tensor) -> Tensor:
    """The distribution over the codes: logits (B, N, V) -> (B, N, K), float32."""
    num_codes = model.tokenizer.num_embeddings
    return logits[..., :num_codes].float().softmax(-1)


def unreliable(model: Any, probs: Tensor, m_t: Tensor, noise: ImageNoise) -> Tensor:
    """What the model's mapping f takes: ``probs`` (B, N, K), or one code where f is 'Sampling'.

    That mapping draws from PyTorch's global generator, which leaves a single code as it is.
    """
    if model.map_probs is not sampling:
        return probs
    return F.one_hot(sample_codes(probs, noise.uniform(m_t)), probs.shape[-1]).to(probs)


def nucleus(probs: Tensor, top_p: float) -> Tensor:
    """Keep the fewest codes whose probabilities reach ``top_p``, the most probable ones first.

    Args:
        probs: (..., K).
        top_p: In (0, 1]; 1 keeps all.

    Returns:
        (..., K), 0 for the other codes, the rest as it is.
    """
    if top_p == 1:
        return probs
    ordered, order = (
        (probs.double() * FIXED_POINT).long().sort(dim=-1, descending=True, stable=True)
    )
    sums = ordered.cumsum(-1)
    kept = sums - ordered < top_p * sums[..., -1:].double()
    return probs * torch.zeros_like(kept).scatter(-1, order, kept)


def sample_codes(probs: Tensor, uniform: Tensor) -> Tensor:
    """Draw a code for each place, by inverting the cumulative distribution.

    Args:
        probs: (B, N, K), in proportion to the probabilities.
        uniform: (B, N), float64 in [0, 1).

    Returns:
        (B, N), int64.
    """
    sums = (probs.double() * FIXED_POINT).long().cumsum(-1)
    heights = (uniform[..., None] * sums[..., -1:]).long()
    return torch.searchsorted(sums, heights, right=True).squeeze(-1)


def confidence(
    probs: Tensor, drawn: Tensor, m_t: Tensor, temperature: float, uniform: Tensor
) -> Tensor:
    """``s = log p + tau * Gumbel noise`` of the drawn codes; known ones are certain (C.4).

    Args:
        probs: (B, N, K).
        drawn: (B, N), the codes.
        m_t: (B, N) bool, False where the token is known.
        temperature: tau.
        uniform: (B, N), float64 in [0, 1), which the noise is made from.

    Returns:
        (B, N), float64, infinite at known places.
    """
    log_p = probs.gather(-1, drawn[..., None]).squeeze(-1).double().log()
    gumbel = -(-uniform.clamp(min=torch.finfo(uniform.dtype).tiny).log()).log()
    return (log_p + temperature * gumbel).masked_fill(~m_t, math.inf)
