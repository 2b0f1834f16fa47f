"""Samplers of whole images: DDIM, DDPM's ancestral sampling, and EDM's Heun method."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Callable, ClassVar, NamedTuple

import torch
from torch import Tensor

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import UserError, check_choice, check_range

from .gaussian import ddim_step, posterior_mean, posterior_variance
from .image_noise import ImageNoise
from .processes import DDPM, EDM, DiffusionProcess, Network

Denoiser = Callable[[Tensor, float], Tensor]
VARIANCES = ('beta', 'posterior')
DDIM_STEPS = 100


class Denoised(NamedTuple):
    """State after a step: x_t, and the prediction of x_0 it came from."""

    x_t: Tensor
    x_0: Tensor


class ImageSampler(ABC):
    """A sampler of one kind of diffusion process.

    Predictions are clipped to [-1, 1], as in the code of DDAE's authors, unless ``clip`` is False:
    latents have no bounds.

    Attributes:
        name: Name among the samplers of the process.
        process_type: The process it samples from.
    """

    name: ClassVar[str]
    process_type: ClassVar[type[DiffusionProcess]]

    @classmethod
    def default(cls, process: DiffusionProcess) -> ImageSampler:
        """The sampler with the authors' settings for a process."""
        return cls()

    @abstractmethod
    def __call__(
        self, process: DiffusionProcess, denoise: Denoiser, like: Tensor, noise: ImageNoise
    ) -> Iterator[Denoised]:
        """Sample images from noise.

        Args:
            process: The diffusion process.
            denoise: ``D(x_t, level)``, the predicted clean images (B, 3, H, W).
            like: (B, 3, H, W), with the shape, type and device of the result.
            noise: The noise of these B images.

        Yields:
            The state after each step.
        """

    @torch.no_grad()
    def sample(
        self, process: DiffusionProcess, network: Network, like: Tensor, noise: ImageNoise
    ) -> Tensor:
        """Images (B, 3, H, W), about [-1, 1], float32, by a network in evaluation mode."""
        self.check_process(process)
        steps = self(process, partial(process.denoise, network), like, noise)
        return deque(steps, maxlen=1).pop().x_t.float()

    def check_process(self, process: DiffusionProcess) -> None:
        """Refuse another process.

        Raises:
            UserError: Names the samplers of the process.
        """
        if not isinstance(process, self.process_type):
            known = ' or '.join(type(one).__name__ for one in samplers_of(process).values())
            raise UserError(
                f'{type(self).__name__} does not sample from {type(process).__name__}: take {known}'
            )


def samplers_of(process: DiffusionProcess) -> dict[str, ImageSampler]:
    """The registered samplers of a process with default settings; the first is the default."""
    # Registered functions build processes.
    kinds = (kind for kind in TASK_UTILS.module_dict.values() if isinstance(kind, type))
    return {
        kind.name: kind.default(process)
        for kind in kinds
        if issubclass(kind, ImageSampler) and isinstance(process, kind.process_type)
    }


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class DDIMSampler(ImageSampler):
    """DDIM over some of DDPM's timesteps (Song et al., 2021).

    The timesteps are 1 + k T / steps for k = 0 .. steps - 1, as in the authors' code. That code
    uses a second table of T + 1 betas; this one uses the table of training, so that all steps with
    ``eta`` 1 equal ancestral sampling with the posterior variance.

    Args:
        steps: Number of network evaluations.
        eta: Share of the posterior's std in every step; 0 is deterministic.
        clip: Whether predicted images are clipped to [-1, 1].
    """

    steps: int = DDIM_STEPS
    eta: float = 0.0
    clip: bool = True

    name = 'ddim'
    process_type = DDPM

    def __post_init__(self) -> None:
        check_range('steps', self.steps, 1)
        check_range('eta', self.eta, 0, 1)

    @classmethod
    def default(cls, process: DDPM) -> DDIMSampler:
        """100 steps, or T where there are fewer."""
        return cls(min(DDIM_STEPS, process.num_timesteps))

    def timesteps(self, num_timesteps: int) -> list[int]:
        """The timesteps of T, falling, with 0 at the end.

        Raises:
            UserError: There are more steps than timesteps.
        """
        check_range('steps', self.steps, 1, num_timesteps)
        rising = (1 + step * num_timesteps // self.steps for step in range(self.steps))
        return [*reversed(list(rising)), 0]

    @torch.no_grad()
    def __call__(
        self, process: DDPM, denoise: Denoiser, like: Tensor, noise: ImageNoise
    ) -> Iterator[Denoised]:
        """See :class:`ImageSampler`."""
        timesteps = self.timesteps(process.num_timesteps)
        x_t = noise.normal(like)
        for t, t_next in zip(timesteps, timesteps[1:]):
            x_0 = clipped(denoise(x_t, t), self.clip)
            # The last step adds no noise.
            fresh = noise.normal(like) if self.eta and t_next else torch.zeros_like(x_t)
            alpha_bars = process.alpha_bars[t], process.alpha_bars[t_next]
            # x_{t_next} = sqrt(alpha_bar_next) x_0 + direction to x_t + eta sigma epsilon
            x_t = ddim_step(x_t, x_0, *alpha_bars, self.eta, fresh)
            yield Denoised(x_t, x_0)


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class AncestralSampler(ImageSampler):
    """DDPM's sampling: T steps of x_{t-1} ~ N(mu(x_t, x_0), Sigma_t^2) (section 3.1).

    Args:
        variance: Sigma_t^2: 'beta' for beta_t, as in the authors' code, or 'posterior' for the
            variance of q(x_{t-1} | x_t, x_0).
        clip: Whether predicted images are clipped to [-1, 1].
    """

    variance: str = 'beta'
    clip: bool = True

    name = 'ancestral'
    process_type = DDPM

    def __post_init__(self) -> None:
        check_choice('variance', self.variance, VARIANCES)

    @torch.no_grad()
    def __call__(
        self, process: DDPM, denoise: Denoiser, like: Tensor, noise: ImageNoise
    ) -> Iterator[Denoised]:
        """See :class:`ImageSampler`."""
        x_t = noise.normal(like)
        for t in range(process.num_timesteps, 0, -1):
            alpha_bar, alpha_bar_prev = process.alpha_bars[t], process.alpha_bars[t - 1]
            x_0 = clipped(denoise(x_t, t), self.clip)
            # mu(x_t, x_0)
            x_t = posterior_mean(x_t, x_0, alpha_bar, alpha_bar_prev)
            if t > 1:  # the last step gives the mean
                x_t = x_t + self.sigma_squared(alpha_bar, alpha_bar_prev).sqrt() * noise.normal(
                    like
                )
            yield Denoised(x_t, x_0)

    def sigma_squared(self, alpha_bar: Tensor, alpha_bar_prev: Tensor) -> Tensor:
        """Sigma_t^2 of alpha_bar_t and alpha_bar_{t-1}."""
        if self.variance == 'beta':
            return 1 - alpha_bar / alpha_bar_prev  # beta_t = 1 - alpha_t
        return posterior_variance(alpha_bar, alpha_bar_prev)


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class HeunSampler(ImageSampler):
    """EDM's algorithm 2, or algorithm 1 without churn: 2 * steps - 1 network evaluations.

    Images are float64, as in the authors' code.

    Args:
        steps: N, the number of sigmas above 0.
        S_churn: Total amount of added noise; 0 is deterministic.
        S_min: Smallest sigma at which noise is added.
        S_max: Largest sigma at which noise is added.
        S_noise: Factor of the added noise.
        clip: Whether predicted images are clipped to [-1, 1]; EDM's own code does not.
    """

    steps: int = 18
    S_churn: float = 0.0
    S_min: float = 0.01
    S_max: float = 1.0
    S_noise: float = 1.007
    clip: bool = True

    name = 'heun'
    process_type = EDM

    def __post_init__(self) -> None:
        check_range('steps', self.steps, 2)
        check_range('S_churn', self.S_churn, 0)

    @classmethod
    def default(cls, process: EDM) -> HeunSampler:
        """As many steps as the schedule has levels."""
        return cls(process.num_steps)

    @torch.no_grad()
    def __call__(
        self, process: EDM, denoise: Denoiser, like: Tensor, noise: ImageNoise
    ) -> Iterator[Denoised]:
        """See :class:`ImageSampler`."""
        # sigma_0 > ... > sigma_{N-1} > sigma_N = 0
        sigmas = process.schedule(self.steps).tolist()
        x = noise.normal(like.double()) * sigmas[0]
        for sigma, sigma_next in zip(sigmas, sigmas[1:]):
            x_hat, sigma_hat = self.churn(x, sigma, noise)
            # Euler step (lines 7 and 8): d = (x_hat - D(x_hat; sigma_hat)) / sigma_hat.
            x_0 = self.prediction(denoise, x_hat, sigma_hat)
            slope = (x_hat - x_0) / sigma_hat
            x = x_hat + (sigma_next - sigma_hat) * slope
            # Second-order correction (lines 10 and 11), with the mean slope of both ends.
            if sigma_next:
                x_0 = self.prediction(denoise, x, sigma_next)
                slope = (slope + (x - x_0) / sigma_next) / 2
                x = x_hat + (sigma_next - sigma_hat) * slope
            yield Denoised(x, x_0)

    def churn(self, x: Tensor, sigma: float, noise: ImageNoise) -> tuple[Tensor, float]:
        """Add noise before a step (lines 4 to 6): the images and their new sigma."""
        if not (self.S_churn and self.S_min <= sigma <= self.S_max):
            return x, sigma
        # The variance is at most doubled.
        gamma = min(self.S_churn / self.steps, math.sqrt(2) - 1)
        sigma_hat = (1 + gamma) * sigma
        added = math.sqrt(sigma_hat**2 - sigma**2) * self.S_noise
        return x + added * noise.normal(x), sigma_hat

    def prediction(self, denoise: Denoiser, x: Tensor, sigma: float) -> Tensor:
        """D(x; sigma), float64."""
        return clipped(denoise(x, sigma).double(), self.clip)


def clipped(x_0: Tensor, clip: bool) -> Tensor:
    """Predicted images in [-1, 1], or as they are."""
    return x_0.clamp(-1, 1) if clip else x_0
