"""DARL's generation: one position after another, each given the earlier ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import UserError, check_range

from .gaussian import ddim_step
from .image_noise import ImageNoise
from .mask_schedule import equal_count
from .token_sampling import nucleus, sample_codes

# DDPM's own schedule ends at gamma = 4e-5.
MIN_GAMMA = 1e-4


class PatchStep(NamedTuple):
    """Patches (B, N, P) or token ids (B, N), and where they are still missing, (B, N) bool."""

    values: Tensor
    masked: Tensor


class SequenceSampler(ABC):
    """The loop over positions; a subclass samples the value of each."""

    @abstractmethod
    def sample_next(self, model: Any, z: Tensor, like: Tensor, noise: ImageNoise) -> Tensor:
        """The value of the next position.

        Args:
            model: :class:`mmaddp.models.DARL`, in evaluation mode.
            z: (B, C), the condition z_t from the earlier positions.
            like: (B, P) or (B,), with the shape and type of the result.
            noise: The noise of these B images.
        """

    @torch.no_grad()
    def __call__(
        self, model: Any, known: Tensor, masked: Tensor, noise: ImageNoise
    ) -> Iterator[PatchStep]:
        """Generate the masked positions one by one, the known ones given first.

        Args:
            model: :class:`mmaddp.models.DARL`, in evaluation mode.
            known: (B, N, P) normalized patches or (B, N) token ids, in raster order; masked ones
                are ignored.
            masked: (B, N) bool, True where to generate, the same number in each row.
            noise: The noise of these B images.

        Yields:
            The values so far after each position, modified in-place by the next; once if there is
            nothing to generate.

        Raises:
            UserError: Rows of ``masked`` mask different numbers of positions, or the model's order
                is fixed and known positions do not come first in it.
        """
        num_known = masked.shape[1] - equal_count(masked)
        order = known_first(model, masked)
        values, masked = known.clone(), masked.clone()
        rows = torch.arange(len(values), device=values.device)
        # A backbone needs no query stream for the order that it was trained in.
        asked = order if model.random_order else None
        state = model.backbone.start_sampling(len(values), model.backbone.grid, asked)
        given = values[rows[:, None], order[:, :num_known]]
        for position in order[:, num_known:].unbind(1):
            if given.shape[1]:
                # x_<t: the known patches at first, then the last generated one. Earlier keys and
                # values are cached, so each position costs one pass of one token.
                state.append(model.embed_values(given))
            z = state.next_features()
            value = self.sample_next(model, z, values[:, 0], noise)
            values[rows, position], masked[rows, position] = value, False
            given = value[:, None]
            yield PatchStep(values, masked)
        if num_known == masked.shape[1]:
            yield PatchStep(values, masked)


def known_first(model: Any, masked: Tensor) -> Tensor:
    """The order of generation: the model's own, or known positions first for random orders.

    Args:
        model: :class:`mmaddp.models.DARL`.
        masked: (B, N) bool.

    Returns:
        (B, N), raster indices.

    Raises:
        UserError: The model's order is fixed, and a known position comes after a masked one.
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


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class PatchSampler(SequenceSampler):
    """Each patch by the reverse process over gamma (section 3.3, appendices E and F).

    Gamma rises evenly: step s = S .. 1 goes from gamma_s = 1 - s / S to gamma_{s-1}, from pure
    noise at gamma_S = 0 to the clean patch at gamma_0 = 1. Appendix F's step size 0.001 is S =
    1,000.

    Args:
        steps: S, evaluations of the patch decoder for each patch.
        eta: Share of equation 4's std: 1 is DDPM's ancestral sampling, with the mean of equation
            3; 0 is DDIM, where only the first noise is random.
        clip: Clip a predicted x^0 to the range of pixels.

    Raises:
        UserError: A setting is out of its range.
    """

    steps: int = 1000
    eta: float = 1.0
    clip: bool = True

    def __post_init__(self) -> None:
        check_range('steps', self.steps, 1)
        check_range('eta', self.eta, 0, 1)

    def gammas(self, prediction: str) -> Tensor:
        """gamma_S .. gamma_0, ascending, (S + 1,) float64.

        Args:
            prediction: What the model predicts, 'x0' or 'epsilon'.
        """
        gammas = torch.linspace(0, 1, self.steps + 1, dtype=torch.float64)
        # At gamma = 0 predicted noise says nothing about the patch.
        return gammas.clamp(min=MIN_GAMMA) if prediction == 'epsilon' else gammas

    def sample_next(self, model: Any, z: Tensor, like: Tensor, noise: ImageNoise) -> Tensor:
        """A patch (B, P), from noise."""
        low, high = model.pixel_range() if self.clip else (None, None)
        gammas = self.gammas(model.prediction)
        x_s = noise.normal(like)  # x^S, gamma_S = 0
        for gamma, gamma_before in zip(gammas, gammas[1:]):
            # g(x_t^s, z_t), with z_t the same for all s
            x0 = model.denoise(z, x_s, torch.full_like(x_s[:, :1], gamma.item()))
            if self.clip:
                x0 = x0.clamp(low, high)
            fresh = noise.normal(like) if self.eta else x_s
            x_s = ddim_step(x_s, x0, gamma, gamma_before, self.eta, fresh)
        return x_s


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class MeanSampler(SequenceSampler):
    """Each patch is the prediction of a model trained by MSE; nothing is random."""

    def sample_next(self, model: Any, z: Tensor, like: Tensor, noise: ImageNoise) -> Tensor:
        """The predicted mean (B, P), clipped to the range of pixels."""
        return model.denoise(z).clamp(*model.pixel_range())


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class TokenSampler(SequenceSampler):
    """Each token is sampled from the softmax over the codes (appendix B.4).

    Args:
        temperature: Divides the logits; 0 takes the most probable token.
        top_p: Tokens are sampled from the most probable codes that together have this probability.

    Raises:
        UserError: A setting is out of its range.
    """

    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        check_range('temperature', self.temperature, 0)
        check_range('top_p', self.top_p, 0, 1, above=True)

    def sample_next(self, model: Any, z: Tensor, like: Tensor, noise: ImageNoise) -> Tensor:
        """Token ids (B,)."""
        logits = model.decode(z)
        if not self.temperature:
            return logits.argmax(-1)
        probs = nucleus((logits / self.temperature).softmax(-1), self.top_p)
        return sample_codes(probs[:, None], noise.uniform(like[:, None]))[:, 0]
