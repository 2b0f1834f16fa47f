"""Gaussian diffusion of patches or whole images: DARL's section 3.3 and appendix E.

x^0 is clean and x^s what has been corrupted up to timestep s, gamma_s in [0, 1] the share of the
signal's variance that is left: 1 is the clean patch, 0 pure noise. ``gamma_before`` is
gamma_{s-1} >= gamma_s, one step cleaner, and alpha_s = gamma_s / gamma_{s-1}. All arguments are
tensors that broadcast: with patches (B, N, P) a gamma is (B, N, 1) or a scalar, with images
(B, 3, H, W) it is (B, 1, 1, 1).
"""

from __future__ import annotations

from torch import Tensor


def perturb(x0: Tensor, gamma: Tensor, noise: Tensor) -> Tensor:
    """x^s = sqrt(gamma_s) x^0 + sqrt(1 - gamma_s) epsilon, the forward process at once."""
    return gamma.sqrt() * x0 + (1 - gamma).sqrt() * noise


def epsilon_from_x0(x_s: Tensor, gamma: Tensor, x0: Tensor) -> Tensor:
    """The noise that makes x^s of x^0; for gamma < 1."""
    return (x_s - gamma.sqrt() * x0) / (1 - gamma).sqrt()


def x0_from_epsilon(x_s: Tensor, gamma: Tensor, epsilon: Tensor) -> Tensor:
    """The clean patch that the noise made x^s of; for gamma > 0."""
    return (x_s - (1 - gamma).sqrt() * epsilon) / gamma.sqrt()


def posterior_mean_from_epsilon(
    x_s: Tensor, epsilon: Tensor, gamma: Tensor, gamma_before: Tensor
) -> Tensor:
    """Mean of q(x^{s-1} | x^s, x^0) given the noise, equation 2; for 0 < gamma < 1.

    Equation 6 of the appendix prints the same without the root over 1 - gamma, which is a slip.
    """
    alpha = gamma / gamma_before
    return x_s / alpha.sqrt() - (1 - alpha) / (alpha * (1 - gamma)).sqrt() * epsilon


def posterior_mean(x_s: Tensor, x0: Tensor, gamma: Tensor, gamma_before: Tensor) -> Tensor:
    """Mean of q(x^{s-1} | x^s, x^0) given the clean patch, equation 3; for gamma < 1."""
    alpha = gamma / gamma_before
    of_x_s = alpha.sqrt() * (1 - gamma_before) / (1 - gamma)
    of_x0 = gamma_before.sqrt() * (1 - alpha) / (1 - gamma)
    return of_x_s * x_s + of_x0 * x0


def posterior_variance(gamma: Tensor, gamma_before: Tensor) -> Tensor:
    """Variance of q(x^{s-1} | x^s, x^0), of each value, equation 4; for gamma < 1."""
    alpha = gamma / gamma_before
    return (1 - alpha) * (1 - gamma_before) / (1 - gamma)


def ddim_step(
    x_s: Tensor, x0: Tensor, gamma: Tensor, gamma_before: Tensor, eta: float, noise: Tensor
) -> Tensor:
    """x^{s-1} of x^s and a predicted x^0, as DDIM (Song et al., 2021, its equations 12 and 16).

    Args:
        x_s: The patch as it is now.
        x0: The clean patch as it is predicted from it.
        gamma: gamma_s < 1.
        gamma_before: gamma_{s-1}.
        eta: 0 is deterministic; 1 is the ancestral sampling of DDPM, whose mean is equation 3 and
            whose variance is equation 4.
        noise: Standard normal, without effect for ``eta`` 0.
    """
    variance = eta**2 * posterior_variance(gamma, gamma_before)
    # Where x^s is pure noise rounding would take the root of a little less than 0.
    direction = (1 - gamma_before - variance).clamp(min=0).sqrt()
    mean = gamma_before.sqrt() * x0 + direction * epsilon_from_x0(x_s, gamma, x0)
    return mean + variance.sqrt() * noise
