"""DARL's generation: place after place in the model's order, each given those before it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmaddp.utils import UserError

from .gaussian import ddim_step
from .sampler import ImageNoise, equal_count, nucleus, sample_codes

# DDPM's own schedule ends at gamma = 4e-5, which is as good as pure noise.
LEAST_GAMMA = 1e-4


class Placed(NamedTuple):
    """Patches (B, N, P) or token ids (B, N), and where they are still missing, (B, N) bool."""

    values: Tensor
    masked: Tensor


class SequenceSampler(ABC):
    """The loop over the places; subclasses draw what stands at the next one.

    Keys and values of the places so far are kept, so that each place costs one pass of one token.
    """

    @abstractmethod
    def draw(self, model: Any, z: Tensor, like: Tensor, noise: ImageNoise) -> Tensor:
        """What stands at the next place.

        Args:
            model: :class:`mmaddp.models.DARL`, in evaluation mode.
            z: (B, C), what the backbone makes of the places before.
            like: (B, P) or (B,), of the shape and type that is wanted.
            noise: That of these B images.
        """

    @torch.no_grad()
    def __call__(
        self, model: Any, known: Tensor, masked: Tensor, noise: ImageNoise
    ) -> Iterator[Placed]:
        """Generate the masked places one by one, the known ones given first.

        Args:
            model: :class:`mmaddp.models.DARL`, in evaluation mode.
            known: (B, N, P) normalized patches or (B, N) token ids, in raster order; masked ones
                are not looked at.
            masked: (B, N) bool, True where to generate, equally many in each row.
            noise: That of these B images.

        Yields:
            The values so far after each place, changed in place by the next; once, when there is
            none to generate.

        Raises:
            UserError: The model's order is fixed, and known places do not come first in it.
            ValueError: Rows of ``masked`` mask different numbers of places.
        """
        num_known = masked.shape[1] - equal_count(masked)
        order = known_first(model, masked)
        values, masked = known.clone(), masked.clone()
        rows = torch.arange(len(values), device=values.device)
        # With the order that it was trained in, a backbone needs no query stream.
        asked = order if model.random_order else None
        state = model.backbone.start_sampling(len(values), model.backbone.grid, asked)
        given = values[rows[:, None], order[:, :num_known]]
        for place in order[:, num_known:].unbind(1):
            if given.shape[1]:
                state.append(model.embed_values(given))
            z = state.next_features()
            drawn = self.draw(model, z, values[:, 0], noise)
            values[rows, place], masked[rows, place] = drawn, False
            given = drawn[:, None]
            yield Placed(values, masked)
        if num_known == masked.shape[1]:
            yield Placed(values, masked)


def known_first(model: Any, masked: Tensor) -> Tensor:
    """The order in which the places are given and generated.

    It is the model's own. One that was trained with random orders takes any: then the known places
    come first, each part in the order of the backbone.

    Args:
        model: :class:`mmaddp.models.DARL`.
        masked: (B, N) bool.

    Returns:
        (B, N), raster indices.

    Raises:
        UserError: The model's order is fixed, and a known place stands behind a masked one.
    """
    own = model.backbone.sequence_order(model.backbone.grid).to(masked.device)
    order = own[masked[:, own].byte().argsort(dim=1, stable=True)]
    if not model.random_order and not torch.equal(order, own.expand_as(order)):
        raise UserError(
            'the mask keeps patches that come after generated ones in the order of the model '
            f"('{model.backbone.order}'): keep the first ones alone, as the top rows of an image "
            'in raster order, or take a model with random_order=True'
        )
    return order


@dataclass(frozen=True)
class PatchSampler(SequenceSampler):
    """Each patch by the reverse process over gamma (section 3.3, appendices E and F).

    Gamma rises evenly: step s = S .. 1 goes from gamma_s = 1 - s / S to gamma_{s-1}, from pure
    noise at gamma_S = 0 to the clean patch at gamma_0 = 1. Appendix F's step size 0.001 is S =
    1,000. There noise that is predicted says nothing of the patch, so that models of it begin at
    gamma_S = 0.0001 instead.

    Args:
        steps: S, how often the patch decoder is asked for each patch.
        eta: Share of equation 4's deviation in every step: 1 is DDPM's ancestral sampling, with
            the mean of equation 3; 0 is DDIM, where only the first noise is random.
        clip: Whether a predicted x^0 is brought into the range that pixels have.

    Raises:
        UserError: A setting is out of its range.
    """

    steps: int = 1000
    eta: float = 1.0
    clip: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f'steps={self.steps}: must be 1 or more')
        if not 0 <= self.eta <= 1:
            raise UserError(f'eta={self.eta}: must be in [0, 1]')

    def gammas(self, prediction: str) -> Tensor:
        """gamma_S .. gamma_0, ascending, (S + 1,) float64.

        Args:
            prediction: What the model predicts, 'x0' or 'epsilon'.
        """
        gammas = torch.linspace(0, 1, self.steps + 1, dtype=torch.float64)
        return gammas.clamp(min=LEAST_GAMMA) if prediction == 'epsilon' else gammas

    def draw(self, model: Any, z: Tensor, like: Tensor, noise: ImageNoise) -> Tensor:
        """A patch (B, P), from noise."""
        low, high = model.pixel_range() if self.clip else (None, None)
        gammas = self.gammas(model.prediction)
        x_s = noise.normal(like)
        for gamma, gamma_before in zip(gammas, gammas[1:]):
            x0 = model.denoise(z, x_s, torch.full_like(x_s[:, :1], gamma.item()))
            if self.clip:
                x0 = x0.clamp(low, high)
            fresh = noise.normal(like) if self.eta else x_s
            x_s = ddim_step(x_s, x0, gamma, gamma_before, self.eta, fresh)
        return x_s


@dataclass(frozen=True)
class MeanSampler(SequenceSampler):
    """Each patch is the prediction itself, of a model trained by MSE: nothing is random."""

    def draw(self, model: Any, z: Tensor, like: Tensor, noise: ImageNoise) -> Tensor:
        """A patch (B, P), the mean of those that may follow, in the range that pixels have."""
        return model.denoise(z).clamp(*model.pixel_range())


@dataclass(frozen=True)
class TokenSampler(SequenceSampler):
    """Each token is drawn from the softmax over the codes (appendix B.4).

    Args:
        temperature: Divides the logits; 0 takes the most probable token.
        top_p: Tokens are drawn from the most probable codes that together have this probability.

    Raises:
        UserError: A setting is out of its range.
    """

    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UserError(f'temperature={self.temperature}: must be 0 or more')
        if not 0 < self.top_p <= 1:
            raise UserError(f'top_p={self.top_p}: must be in (0, 1]')

    def draw(self, model: Any, z: Tensor, like: Tensor, noise: ImageNoise) -> Tensor:
        """Token ids (B,)."""
        logits = model.decode(z)
        if not self.temperature:
            return logits.argmax(-1)
        probs = nucleus((logits / self.temperature).softmax(-1), self.top_p)
        return sample_codes(probs[:, None], noise.uniform(like[:, None]))[:, 0]
