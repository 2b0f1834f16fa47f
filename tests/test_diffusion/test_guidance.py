"""Classifier guidance on mixtures of Gaussians, whose guided scores are known."""

import math
from collections import deque

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmaddp.diffusion import (
    DDPM,
    EDM,
    AncestralSampler,
    ClassifierGuidance,
    DDIMSampler,
    HeunSampler,
    ImageNoise,
)
from mmaddp.diffusion.gaussian import epsilon_from_x0, posterior_mean

MEANS, SHARES, STD = (-0.6, 0.1, 0.7), (0.2, 0.5, 0.3), 0.1
SAMPLERS = {
    'ancestral': (DDPM(200, 1e-3, 0.1), AncestralSampler(clip=False)),
    'ddim': (DDPM(), DDIMSampler(500, clip=False)),
    'heun': (EDM(), HeunSampler(40, clip=False)),
}
LEVELS = [(DDPM(), 1), (DDPM(), 300), (DDPM(), 1000), (EDM(), 0.01), (EDM(), 1.0), (EDM(), 80.0)]


class Mixture:
    """Images of one pixel value, from one of three Gaussians: the best denoiser and classifier."""

    def __init__(self, process):
        self.process, self.calls = process, 0

    def scales(self, level):
        """alpha_t and sigma_t, from the definitions of the two processes."""
        if isinstance(self.process, EDM):
            return 1.0, float(level)
        alpha_bar = self.process.alpha_bars[level].item()
        return alpha_bar**0.5, (1 - alpha_bar) ** 0.5

    def of_class(self, x_t, level, k):
        """E[x_0 | x_t, y = k]."""
        alpha, sigma = self.scales(level)
        variance = alpha**2 * STD**2 + sigma**2
        return MEANS[k] + alpha * STD**2 / variance * (x_t - alpha * MEANS[k])

    def logits(self, x_t, level):
        """log p(y) + log N(x_t; alpha mu_y, variance) of whole images, up to a constant."""
        alpha, sigma = self.scales(level)
        variance = alpha**2 * STD**2 + sigma**2
        squares = [((x_t - alpha * mean) ** 2).sum((1, 2, 3)) for mean in MEANS]
        return torch.stack(
            [math.log(p) - square / (2 * variance) for p, square in zip(SHARES, squares)], 1
        )

    def __call__(self, x_t, level):
        """E[x_0 | x_t] and the logits."""
        self.calls += 1
        logits = self.logits(x_t, level)
        each = torch.stack([self.of_class(x_t, level, k) for k in range(3)], 1)
        return (logits.softmax(1)[:, :, None, None, None] * each).sum(1), logits


def noised(process, level, shape=(4, 3, 2, 2)):
    generator = torch.Generator().manual_seed(0)
    x_0 = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
    return process.perturb(x_0, level, torch.randn(shape, generator=generator).double())


def sample(process, sampler, denoise, like):
    noise = ImageNoise(0, range(len(like)))
    return deque(sampler(process, denoise, like, noise), maxlen=1).pop().x_t


@pytest.mark.parametrize(('process', 'level'), LEVELS)
@pytest.mark.parametrize('scale', [1.0, 2.5])
def test_guided_is_the_conditional_denoiser(process, level, scale):
    """By Bayes' rule the score of x_t given y is that of x_t plus the classifier's."""
    mixture, labels = Mixture(process), torch.tensor([0, 1, 2, 0])
    x_t = noised(process, level)
    guided = ClassifierGuidance(process, mixture, labels, scale)(x_t, level)
    plain = mixture(x_t, level)[0]
    conditional = torch.cat([mixture.of_class(x[None], level, y) for x, y in zip(x_t, labels)])
    expected = plain + scale * (conditional - plain)
    torch.testing.assert_close(guided, expected, rtol=1e-9, atol=1e-9)
    assert not guided.requires_grad


@pytest.mark.parametrize('name', SAMPLERS)
def test_samples_of_a_class(name):
    """Guided sampling is sampling from the class, in every step as well as in the end."""
    process, sampler = SAMPLERS[name]
    mixture, like = Mixture(process), torch.zeros(32, 3, 4, 4, dtype=torch.float64)
    guidance = ClassifierGuidance(process, mixture, torch.full((32,), 2), 1.0)
    images = sample(process, sampler, guidance, like)
    of_class = sample(process, sampler, lambda x, t: mixture.of_class(x, t, 2), like)
    torch.testing.assert_close(images, of_class, rtol=0, atol=1e-7)
    assert images.mean().item() == pytest.approx(MEANS[2], abs=0.01)
    assert images.std().item() == pytest.approx(STD, rel=0.05)


@pytest.mark.parametrize('name', SAMPLERS)
def test_without_scale_nothing_changes(name):
    process, sampler = SAMPLERS[name]
    like = torch.zeros(2, 3, 2, 2)
    guided, plain = Mixture(process), Mixture(process)
    guidance = ClassifierGuidance(process, guided, torch.tensor([0, 1]), 0.0)
    images = sample(process, sampler, guidance, like)
    assert torch.equal(images, sample(process, sampler, lambda x, t: plain(x, t)[0], like))
    assert guided.calls == plain.calls


@pytest.mark.parametrize(('name', 'calls'), [('ancestral', 200), ('ddim', 500), ('heun', 79)])
def test_the_network_is_asked_once_a_step(name, calls):
    process, sampler = SAMPLERS[name]
    mixture = Mixture(process)
    guidance = ClassifierGuidance(process, mixture, torch.tensor([1]), 3.0)
    sample(process, sampler, guidance, torch.zeros(1, 3, 2, 2))
    assert mixture.calls == calls


def gradient(mixture, x_t, level, labels):
    x_t = x_t.clone().requires_grad_()
    mixture.logits(x_t, level).log_softmax(1).gather(1, labels[:, None]).sum().backward()
    return x_t.grad


@given(st.integers(2, 1000), st.floats(0.1, 10))
def test_what_guidance_moves_in_ddpm(t, scale):
    """DDIM's epsilon by -sigma_t s grad; the ancestral mean by beta_t / sqrt(1 - beta_t) s grad."""
    process, labels = DDPM(), torch.tensor([0, 1, 2, 0])
    mixture, x_t = Mixture(process), noised(process, t)
    guided = ClassifierGuidance(process, mixture, labels, scale)(x_t, t)
    plain, grad = mixture(x_t, t)[0], scale * gradient(mixture, x_t, t, labels)
    alpha_bars = process.alpha_bars[t], process.alpha_bars[t - 1]
    sigma = (1 - alpha_bars[0]).sqrt()
    epsilon = [epsilon_from_x0(x_t, alpha_bars[0], x_0) for x_0 in (guided, plain)]
    torch.testing.assert_close(epsilon[0] - epsilon[1], -sigma * grad, rtol=1e-6, atol=1e-9)
    mean = [posterior_mean(x_t, x_0, *alpha_bars) for x_0 in (guided, plain)]
    beta = 1e-4 + (0.02 - 1e-4) * (t - 1) / 999
    moved = beta / math.sqrt(1 - beta) * grad
    torch.testing.assert_close(mean[0] - mean[1], moved, rtol=1e-6, atol=1e-9)


@given(st.floats(0.01, 80), st.floats(0.1, 10))
def test_what_guidance_moves_in_edm(sigma, scale):
    """The slope (x - D) / sigma by -sigma s grad."""
    process, labels = EDM(), torch.tensor([0, 1, 2, 0])
    mixture, x_t = Mixture(process), noised(process, sigma)
    guided = ClassifierGuidance(process, mixture, labels, scale)(x_t, sigma)
    plain, grad = mixture(x_t, sigma)[0], scale * gradient(mixture, x_t, sigma, labels)
    moved = (plain - guided) / sigma
    torch.testing.assert_close(moved, -sigma * grad, rtol=1e-6, atol=1e-8)


def test_sampling_asks_for_no_gradient_outside():
    """Samplers run without gradients, guidance turns them on for itself."""
    process = EDM()
    guidance = ClassifierGuidance(process, Mixture(process), torch.tensor([0]), 1.0)
    with torch.no_grad():
        assert guidance(torch.full((1, 3, 2, 2), 0.5), 1.0).isfinite().all()


@given(st.integers(1, 18))
def test_numbers_of_edms_levels(number):
    process = EDM()
    assert process.number(process.level(number)).item() == pytest.approx(number, abs=1e-5)


def test_numbers_of_levels_of_a_batch():
    assert DDPM().number(torch.tensor([1, 500])).tolist() == [1, 500]
    sigmas = torch.tensor([0.002, 80.0])
    assert EDM().number(sigmas).tolist() == pytest.approx([1, 18], abs=1e-4)
    between = EDM().number(EDM(num_steps=35).level(2)).item()
    assert between == pytest.approx(1.5, abs=1e-5)
