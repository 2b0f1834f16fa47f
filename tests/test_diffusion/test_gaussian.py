"""The Gaussian diffusion is what Bayes' rule makes of its forward process."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmaddp.diffusion.gaussian import (
    ddim_step,
    epsilon_from_x0,
    perturb,
    posterior_mean,
    posterior_mean_from_epsilon,
    posterior_variance,
    x0_from_epsilon,
)

values = st.floats(-3, 3)


@st.composite
def levels(draw):
    """alpha_bar_t and alpha_bar_{t-1}, the latter cleaner."""
    previous = draw(st.floats(0.05, 0.99))
    return tensor(draw(st.floats(0.05, 0.95)) * previous), tensor(previous)


def tensor(value):
    return torch.tensor(value, dtype=torch.float64)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize('alpha_bar', [0.0, 0.3, 1.0])
def test_moments_of_noised_patches(alpha_bar):
    x_0 = torch.tensor([-2.0, 0.0, 1.5], dtype=torch.float64)
    x_t = perturb(x_0, tensor(alpha_bar), noise(100_000, 3))
    torch.testing.assert_close(x_t.mean(0), alpha_bar**0.5 * x_0, atol=0.015, rtol=0)
    torch.testing.assert_close(
        x_t.var(0), torch.full((3,), 1 - alpha_bar, dtype=torch.float64), atol=0.02, rtol=0
    )


def test_each_patch_has_its_own_level():
    x_0, alpha_bar = noise(2, 3, 5), torch.rand(2, 3, 1, dtype=torch.float64)
    epsilon = noise(2, 3, 5, seed=1)
    together = perturb(x_0, alpha_bar, epsilon)
    alone = perturb(x_0[1, 2], alpha_bar[1, 2], epsilon[1, 2])
    torch.testing.assert_close(together[1, 2], alone)


@given(values, values, levels())
def test_posterior_is_bayes_rule(x_0, x_t, alpha_bars):
    """Prior q(x_{t-1} | x_0), likelihood q(x_t | x_{t-1}): precisions add up."""
    x_0, x_t, (alpha_bar, previous) = tensor(x_0), tensor(x_t), alpha_bars
    alpha = alpha_bar / previous
    precision = 1 / (1 - previous) + alpha / (1 - alpha)
    weighted = previous.sqrt() * x_0 / (1 - previous) + alpha.sqrt() * x_t / (1 - alpha)
    torch.testing.assert_close(posterior_variance(alpha_bar, previous), 1 / precision)
    torch.testing.assert_close(posterior_mean(x_t, x_0, alpha_bar, previous), weighted / precision)


@given(values, values, levels())
def test_equations_2_and_3_agree(x_0, epsilon, alpha_bars):
    x_0, epsilon, (alpha_bar, previous) = tensor(x_0), tensor(epsilon), alpha_bars
    x_t = perturb(x_0, alpha_bar, epsilon)
    torch.testing.assert_close(
        posterior_mean_from_epsilon(x_t, epsilon, alpha_bar, previous),
        posterior_mean(x_t, x_0, alpha_bar, previous),
    )


@given(values, values, levels())
def test_x0_and_epsilon_are_each_others_inverse(x_0, epsilon, alpha_bars):
    x_0, epsilon, (alpha_bar, _) = tensor(x_0), tensor(epsilon), alpha_bars
    x_t = perturb(x_0, alpha_bar, epsilon)
    torch.testing.assert_close(x0_from_epsilon(x_t, alpha_bar, epsilon), x_0)
    torch.testing.assert_close(epsilon_from_x0(x_t, alpha_bar, x_0), epsilon)


@given(values, values, values, levels())
def test_ddim_with_eta_1_is_ancestral(x_0, x_t, fresh, alpha_bars):
    x_0, x_t, fresh, (alpha_bar, previous) = (
        tensor(x_0),
        tensor(x_t),
        tensor(fresh),
        alpha_bars,
    )
    expected = posterior_mean(x_t, x_0, alpha_bar, previous)
    expected = expected + posterior_variance(alpha_bar, previous).sqrt() * fresh
    torch.testing.assert_close(ddim_step(x_t, x_0, alpha_bar, previous, 1.0, fresh), expected)


@given(values, values, values, levels())
def test_ddim_with_eta_0_only_takes_noise_away(x_0, epsilon, fresh, alpha_bars):
    x_0, epsilon, (alpha_bar, previous) = tensor(x_0), tensor(epsilon), alpha_bars
    step = ddim_step(perturb(x_0, alpha_bar, epsilon), x_0, alpha_bar, previous, 0.0, tensor(fresh))
    torch.testing.assert_close(step, perturb(x_0, previous, epsilon))


@given(st.floats(0, 1), levels())
def test_every_eta_keeps_the_marginal(eta, alpha_bars):
    """x_{t-1} has mean sqrt(alpha_bar) x_0 and variance 1 - alpha_bar, whatever eta is."""
    alpha_bar, previous = alpha_bars
    one, zero = tensor(1.0), tensor(0.0)

    def step(epsilon, fresh):
        return ddim_step(perturb(one, alpha_bar, epsilon), one, alpha_bar, previous, eta, fresh)

    mean = step(zero, zero)
    variance = (step(one, zero) - mean) ** 2 + (step(zero, one) - mean) ** 2
    torch.testing.assert_close(mean, previous.sqrt())
    torch.testing.assert_close(variance, 1 - previous)


@pytest.mark.parametrize('eta', [0.0, 0.5, 1.0])
def test_from_pure_noise_to_the_clean_patch_in_one_step(eta):
    x_0 = noise(4).float()
    step = ddim_step(noise(4, seed=1).float(), x_0, tensor(0.0), tensor(1.0), eta, noise(4, seed=2))
    torch.testing.assert_close(step.float(), x_0)


def test_float32_from_pure_noise_stays_finite():
    """1 - previous - variance is 0 there, which rounding may bring below."""
    for previous in torch.linspace(1e-4, 1, 997):
        step = ddim_step(noise(1).float(), noise(1).float(), tensor(0.0), previous, 1.0, noise(1))
        assert step.isfinite().all(), previous


def test_whole_images():
    images, alpha_bar = noise(2, 3, 4, 4), torch.tensor([0.2, 0.9]).view(2, 1, 1, 1).double()
    epsilon = noise(2, 3, 4, 4, seed=1)
    x_t = perturb(images, alpha_bar, epsilon)
    torch.testing.assert_close(x_t[1], perturb(images[1], alpha_bar[1], epsilon[1]))
    mean = posterior_mean(x_t, images, alpha_bar, alpha_bar + 0.05)
    assert mean.shape == images.shape
    assert posterior_variance(alpha_bar, alpha_bar + 0.05).shape == (2, 1, 1, 1)
