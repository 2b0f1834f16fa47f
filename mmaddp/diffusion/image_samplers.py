"""Samplers of whole images: DDPM's ancestral one, DDIM, and Heun's method of EDM.

Each is called with a process, a denoiser ``D(x_t, level)`` that gives the predicted clean images
(B, 3, H, W), images ``like`` those that are wanted, and the noise of these. It gives what every
step ends with. As in the code of DDAE's authors, predictions are clipped to [-1, 1], unless
``clip`` says otherwise: latents, which take the place of images in a latent model, have no bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, NamedTuple

import torch
from torch import Tensor

from mmaddp.utils import UserError, check_choice

from .gaussian import ddim_step, posterior_mean, posterior_variance
from .sampler import ImageNoise

if TYPE_CHECKING:
    from .processes import DDPM, EDM

Denoiser = Callable[[Tensor, float], Tensor]
VARIANCES = ('beta', 'posterior')


class Denoised(NamedTuple):
    """What a step ends with: x_t, a little cleaner, and the prediction of x_0 it came from."""

    x_t: Tensor
    x_0: Tensor


@dataclass(frozen=True)
class AncestralSampler:
    """DDPM's sampling: T steps of x_{t-1} ~ N(mu(x_t, x_0), Sigma_t^2) (section 3.1).

    Args:
        variance: Sigma_t^2, either 'beta', which is beta_t and what the authors' code takes, or
            'posterior', the variance of q(x_{t-1} | x_t, x_0).
        clip: Whether predicted images are clipped to [-1, 1].

    Raises:
        UserError: ``variance`` is neither.
    """

    variance: str = 'beta'
    clip: bool = True

    def __post_init__(self) -> None:
        check_choice('variance', self.variance, VARIANCES)

    @torch.no_grad()
    def __call__(
        self, process: DDPM, denoise: Denoiser, like: Tensor, noise: ImageNoise
    ) -> Iterator[Denoised]:
        """Yield T steps; arguments as the module has them."""
        x_t = noise.normal(like)
        for t in range(process.num_timesteps, 0, -1):
            gamma, gamma_before = process.alpha_bars[t], process.alpha_bars[t - 1]
            x_0 = clipped(denoise(x_t, t), self.clip)
            x_t = posterior_mean(x_t, x_0, gamma, gamma_before)
            if t > 1:
                x_t = x_t + self.spread(gamma, gamma_before).sqrt() * noise.normal(like)
            yield Denoised(x_t, x_0)

    def spread(self, gamma: Tensor, gamma_before: Tensor) -> Tensor:
        """Sigma_t^2 of alpha_bar_t and alpha_bar_{t-1}."""
        if self.variance == 'beta':
            return 1 - gamma / gamma_before
        return posterior_variance(gamma, gamma_before)


@dataclass(frozen=True)
class DDIMSampler:
    """DDIM over some of DDPM's timesteps (Song et al., 2021).

    The timesteps are 1 + k T / steps for k = 0 .. steps - 1, as the authors take them, so that
    fewer steps begin a little below T. Their code looks these up in a second table, of T + 1 betas;
    here it is the one of the training, so that with all steps and ``eta`` 1 this is
    ancestral sampling with the posterior's variance.

    Args:
        steps: How often the network is asked.
        eta: Share of the posterior's deviation in every step; 0 is deterministic.
        clip: Whether predicted images are clipped to [-1, 1].

    Raises:
        UserError: A setting is out of its range.
    """

    steps: int = 100
    eta: float = 0.0
    clip: bool = True

    def __post_init__(self) -> None:
        check_steps(self.steps, 1)
        check_eta(self.eta)

    def timesteps(self, num_timesteps: int) -> list[int]:
        """The timesteps of T, falling, with 0 at the end.

        Raises:
            UserError: There are more steps than timesteps.
        """
        if self.steps > num_timesteps:
            raise UserError(
                f'steps={self.steps}: more than the {num_timesteps} timesteps of the model; '
                f'set steps to {num_timesteps} or fewer'
            )
        rising = (1 + step * num_timesteps // self.steps for step in range(self.steps))
        return [*reversed(list(rising)), 0]

    @torch.no_grad()
    def __call__(
        self, process: DDPM, denoise: Denoiser, like: Tensor, noise: ImageNoise
    ) -> Iterator[Denoised]:
        """Yield the steps; arguments as the module has them."""
        timesteps = self.timesteps(process.num_timesteps)
        x_t = noise.normal(like)
        for t, t_next in zip(timesteps, timesteps[1:]):
            x_0 = clipped(denoise(x_t, t), self.clip)
            fresh = noise.normal(like) if self.eta and t_next else torch.zeros_like(x_t)
            gammas = process.alpha_bars[t], process.alpha_bars[t_next]
            x_t = ddim_step(x_t, x_0, *gammas, self.eta, fresh)
            yield Denoised(x_t, x_0)


@dataclass(frozen=True)
class HeunSampler:
    """EDM's algorithm 2, with ``eta`` 0 its algorithm 1: 2 * steps - 1 calls of the network.

    Images are float64, as in the authors' code. With ``eta`` above 0 each step from a sigma in
    [s_min, s_max] first adds noise, up to (1 + gamma) sigma with gamma = (sqrt(2) - 1) eta, which
    is S_churn = (sqrt(2) - 1) eta steps of the algorithm.

    Args:
        steps: N, the sigmas above 0.
        eta: Share of the most noise that the algorithm adds; 0 is deterministic.
        s_min: S_min.
        s_max: S_max.
        s_noise: S_noise, by which the added noise is multiplied.
        clip: Whether predicted images are clipped to [-1, 1]; EDM's own code does not.

    Raises:
        UserError: A setting is out of its range.
    """

    steps: int = 18
    eta: float = 0.0
    s_min: float = 0.01
    s_max: float = 1.0
    s_noise: float = 1.007
    clip: bool = True

    def __post_init__(self) -> None:
        check_steps(self.steps, 2)
        check_eta(self.eta)
        if not self.s_min <= self.s_max:
            raise UserError(
                f's_min={self.s_min}, s_max={self.s_max}: s_min must not be above s_max'
            )

    @torch.no_grad()
    def __call__(
        self, process: EDM, denoise: Denoiser, like: Tensor, noise: ImageNoise
    ) -> Iterator[Denoised]:
        """Yield the steps; arguments as the module has them."""
        sigmas = process.schedule(self.steps).tolist()
        x = noise.normal(like.double()) * sigmas[0]
        for sigma, sigma_next in zip(sigmas, sigmas[1:]):
            x_hat, sigma_hat = self.churn(x, sigma, noise)
            x_0 = self.prediction(denoise, x_hat, sigma_hat)
            slope = (x_hat - x_0) / sigma_hat
            x = x_hat + (sigma_next - sigma_hat) * slope  # Euler's step
            if sigma_next:
                x_0 = self.prediction(denoise, x, sigma_next)
                slope = (slope + (x - x_0) / sigma_next) / 2
                x = x_hat + (sigma_next - sigma_hat) * slope  # corrected
            yield Denoised(x, x_0)

    def churn(self, x: Tensor, sigma: float, noise: ImageNoise) -> tuple[Tensor, float]:
        """Add noise before a step (lines 4 to 6): the images and their new sigma."""
        if not (self.eta and self.s_min <= sigma <= self.s_max):
            return x, sigma
        sigma_hat = (1 + (math.sqrt(2) - 1) * self.eta) * sigma
        added = math.sqrt(sigma_hat**2 - sigma**2) * self.s_noise
        return x + added * noise.normal(x), sigma_hat

    def prediction(self, denoise: Denoiser, x: Tensor, sigma: float) -> Tensor:
        """D(x; sigma), float64."""
        return clipped(denoise(x, sigma).double(), self.clip)


def clipped(x_0: Tensor, clip: bool) -> Tensor:
    """Predicted images in [-1, 1], or as they are."""
    return x_0.clamp(-1, 1) if clip else x_0


def check_steps(steps: int, least: int) -> None:
    """Refuse too few steps.

    Raises:
        UserError: They are below ``least``.
    """
    if steps < least:
        raise UserError(f'steps={steps}: must be {least} or more')


def check_eta(eta: float) -> None:
    """Refuse an eta that is no share.

    Raises:
        UserError: It is not in [0, 1].
    """
    if not 0 <= eta <= 1:
        raise UserError(f'eta={eta}: must be in [0, 1]')
