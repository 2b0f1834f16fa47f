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
    """gamma_s and gamma_{s-1}, the latter cleaner."""
    gamma_before = draw(st.floats(0.05, 0.99))
    return tensor(draw(st.floats(0.05, 0.95)) * gamma_before), tensor(gamma_before)


def tensor(value):
    return torch.tensor(value, dtype=torch.float64)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize('gamma', [0.0, 0.3, 1.0])
def test_moments_of_noised_patches(gamma):
    x0 = torch.tensor([-2.0, 0.0, 1.5], dtype=torch.float64)
    x_s = perturb(x0, tensor(gamma), noise(100_000, 3))
    torch.testing.assert_close(x_s.mean(0), gamma**0.5 * x0, atol=0.015, rtol=0)
    torch.testing.assert_close(
        x_s.var(0), torch.full((3,), 1 - gamma, dtype=torch.float64), atol=0.02, rtol=0
    )


def test_each_patch_has_its_own_level():
    x0, gamma = noise(2, 3, 5), torch.rand(2, 3, 1, dtype=torch.float64)
    epsilon = noise(2, 3, 5, seed=1)
    together = perturb(x0, gamma, epsilon)
    alone = perturb(x0[1, 2], gamma[1, 2], epsilon[1, 2])
    torch.testing.assert_close(together[1, 2], alone)


@given(values, values, levels())
def test_posterior_is_bayes_rule(x0, x_s, gammas):
    """Prior q(x^{s-1} | x^0), likelihood q(x^s | x^{s-1}): precisions add up."""
    x0, x_s, (gamma, before) = tensor(x0), tensor(x_s), gammas
    alpha = gamma / before
    precision = 1 / (1 - before) + alpha / (1 - alpha)
    weighted = before.sqrt() * x0 / (1 - before) + alpha.sqrt() * x_s / (1 - alpha)
    torch.testing.assert_close(posterior_variance(gamma, before), 1 / precision)
    torch.testing.assert_close(posterior_mean(x_s, x0, gamma, before), weighted / precision)


@given(values, values, levels())
def test_equations_2_and_3_agree(x0, epsilon, gammas):
    x0, epsilon, (gamma, before) = tensor(x0), tensor(epsilon), gammas
    x_s = perturb(x0, gamma, epsilon)
    torch.testing.assert_close(
        posterior_mean_from_epsilon(x_s, epsilon, gamma, before),
        posterior_mean(x_s, x0, gamma, before),
    )


@given(values, values, levels())
def test_x0_and_epsilon_are_each_others_inverse(x0, epsilon, gammas):
    x0, epsilon, (gamma, _) = tensor(x0), tensor(epsilon), gammas
    x_s = perturb(x0, gamma, epsilon)
    torch.testing.assert_close(x0_from_epsilon(x_s, gamma, epsilon), x0)
    torch.testing.assert_close(epsilon_from_x0(x_s, gamma, x0), epsilon)


@given(values, values, values, levels())
def test_ddim_with_eta_1_is_ancestral(x0, x_s, fresh, gammas):
    x0, x_s, fresh, (gamma, before) = tensor(x0), tensor(x_s), tensor(fresh), gammas
    expected = posterior_mean(x_s, x0, gamma, before)
    expected = expected + posterior_variance(gamma, before).sqrt() * fresh
    torch.testing.assert_close(ddim_step(x_s, x0, gamma, before, 1.0, fresh), expected)


@given(values, values, values, levels())
def test_ddim_with_eta_0_only_takes_noise_away(x0, epsilon, fresh, gammas):
    x0, epsilon, (gamma, before) = tensor(x0), tensor(epsilon), gammas
    step = ddim_step(perturb(x0, gamma, epsilon), x0, gamma, before, 0.0, tensor(fresh))
    torch.testing.assert_close(step, perturb(x0, before, epsilon))


@given(st.floats(0, 1), levels())
def test_every_eta_keeps_the_marginal(eta, gammas):
    """x^{s-1} has mean sqrt(gamma) x0 and variance 1 - gamma, however much noise is fresh."""
    gamma, before = gammas
    one, zero = tensor(1.0), tensor(0.0)

    def step(epsilon, fresh):
        return ddim_step(perturb(one, gamma, epsilon), one, gamma, before, eta, fresh)

    mean = step(zero, zero)
    variance = (step(one, zero) - mean) ** 2 + (step(zero, one) - mean) ** 2
    torch.testing.assert_close(mean, before.sqrt())
    torch.testing.assert_close(variance, 1 - before)


@pytest.mark.parametrize('eta', [0.0, 0.5, 1.0])
def test_from_pure_noise_to_the_clean_patch_in_one_step(eta):
    x0 = noise(4).float()
    step = ddim_step(noise(4, seed=1).float(), x0, tensor(0.0), tensor(1.0), eta, noise(4, seed=2))
    torch.testing.assert_close(step.float(), x0)


def test_float32_from_pure_noise_stays_finite():
    """1 - gamma_before - variance is 0 there, which rounding may bring below."""
    for before in torch.linspace(1e-4, 1, 997):
        step = ddim_step(noise(1).float(), noise(1).float(), tensor(0.0), before, 1.0, noise(1))
        assert step.isfinite().all(), before


def test_whole_images():
    images, gamma = noise(2, 3, 4, 4), torch.tensor([0.2, 0.9]).view(2, 1, 1, 1).double()
    epsilon = noise(2, 3, 4, 4, seed=1)
    x_s = perturb(images, gamma, epsilon)
    torch.testing.assert_close(x_s[1], perturb(images[1], gamma[1], epsilon[1]))
    mean = posterior_mean(x_s, images, gamma, gamma + 0.05)
    assert mean.shape == images.shape
    assert posterior_variance(gamma, gamma + 0.05).shape == (2, 1, 1, 1)
