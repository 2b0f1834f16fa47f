"""Gaussian diffusion of patches or whole images: DARL's section 3.3 and appendix E.

x_0 is clean, x_t noised up to timestep t. alpha_bar_t in [0, 1] is the share of the signal's
variance that is left, 1 for the clean image and 0 for pure noise; DARL writes gamma_s for it, and
x^s for x_t. ``alpha_bar_prev`` is alpha_bar_{t-1} >= alpha_bar_t, one step cleaner, and
alpha_t = alpha_bar_t / alpha_bar_{t-1}. All arguments are tensors that broadcast: with patches
(B, N, P) alpha_bar is (B, N, 1) or a scalar, with images (B, 3, H, W) it is (B, 1, 1, 1).
"""

from __future__ import annotations

from torch import Tensor


def perturb(x_0: Tensor, alpha_bar: Tensor, noise: Tensor) -> Tensor:
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) epsilon, the forward process."""
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * noise


def epsilon_from_x0(x_t: Tensor, alpha_bar: Tensor, x_0: Tensor) -> Tensor:
    """epsilon = (x_t - sqrt(alpha_bar_t) x_0) / sqrt(1 - alpha_bar_t), for alpha_bar < 1."""
    return (x_t - alpha_bar.sqrt() * x_0) / (1 - alpha_bar).sqrt()


def x0_from_epsilon(x_t: Tensor, alpha_bar: Tensor, epsilon: Tensor) -> Tensor:
    """x_0 = (x_t - sqrt(1 - alpha_bar_t) epsilon) / sqrt(alpha_bar_t), for alpha_bar > 0."""
    return (x_t - (1 - alpha_bar).sqrt() * epsilon) / alpha_bar.sqrt()


def posterior_mean_from_epsilon(
    x_t: Tensor, epsilon: Tensor, alpha_bar: Tensor, alpha_bar_prev: Tensor
) -> Tensor:
    """Mean of q(x_{t-1} | x_t, x_0) given the noise, equation 2; for 0 < alpha_bar < 1."""
    alpha = alpha_bar / alpha_bar_prev
    # Equation 6 of the appendix lacks the root over 1 - gamma, a misprint.
    return x_t / alpha.sqrt() - (1 - alpha) / (alpha * (1 - alpha_bar)).sqrt() * epsilon


def posterior_mean(x_t: Tensor, x_0: Tensor, alpha_bar: Tensor, alpha_bar_prev: Tensor) -> Tensor:
    """Mean of q(x_{t-1} | x_t, x_0) given the clean patch, equation 3; for alpha_bar < 1."""
    alpha = alpha_bar / alpha_bar_prev
    of_x_t = alpha.sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar)
    of_x_0 = alpha_bar_prev.sqrt() * (1 - alpha) / (1 - alpha_bar)
    return of_x_t * x_t + of_x_0 * x_0


def posterior_variance(alpha_bar: Tensor, alpha_bar_prev: Tensor) -> Tensor:
    """Variance of q(x_{t-1} | x_t, x_0), of each value, equation 4; for alpha_bar < 1."""
    alpha = alpha_bar / alpha_bar_prev
    return (1 - alpha) * (1 - alpha_bar_prev) / (1 - alpha_bar)


def ddim_step(
    x_t: Tensor, x_0: Tensor, alpha_bar: Tensor, alpha_bar_prev: Tensor, eta: float, noise: Tensor
) -> Tensor:
    """x_{t-1} from x_t and a predicted x_0 (DDIM, Song et al., 2021, equations 12 and 16).

    Args:
        x_t: The present patch or image.
        x_0: The prediction of the clean one.
        alpha_bar: alpha_bar_t < 1.
        alpha_bar_prev: alpha_bar_{t-1}.
        eta: 0 is deterministic; 1 is the ancestral sampling of DDPM, whose mean is equation 3 and
            whose variance is equation 4.
        noise: Standard normal; has no effect for ``eta`` 0.
    """
    variance = eta**2 * posterior_variance(alpha_bar, alpha_bar_prev)  # equation 16
    # For pure noise, rounding could make the radicand slightly negative.
    direction = (1 - alpha_bar_prev - variance).clamp(min=0).sqrt()
    # Equation 12: predicted x_0, the direction pointing to x_t, and noise.
    mean = alpha_bar_prev.sqrt() * x_0 + direction * epsilon_from_x0(x_t, alpha_bar, x_0)
    return mean + variance.sqrt() * noise
