"""Samplers of images against each other, and on distributions whose solution is known."""

import math
from collections import deque

import pytest
import torch

from mmaddp.diffusion import (
    DDPM,
    EDM,
    AncestralSampler,
    DDIMSampler,
    HeunSampler,
    ImageNoise,
)
from mmaddp.utils import UserError

MEAN, STD = 0.3, 0.5
LIKE = torch.zeros(2, 3, 4, 4, dtype=torch.float64)


def last(steps):
    return deque(steps, maxlen=1).pop()


def run(sampler, process, denoise, like=LIKE, seed=0):
    return last(sampler(process, denoise, like, ImageNoise(seed, range(len(like)))))


def crooked(x, level):
    """A denoiser that depends on everything, within [-1, 1] mostly."""
    return torch.tanh(torch.sin(2 * x) + 0.5 * x.roll(1, -1) + 0.001 * level)


def gaussian(x, sigma):
    """The best denoiser of images from N(MEAN, STD^2), noised as EDM does."""
    return MEAN + (x - MEAN) * STD**2 / (STD**2 + sigma**2)


@pytest.mark.parametrize('num_timesteps', [1, 5, 64])
@pytest.mark.parametrize('clip', [True, False])
def test_ddim_of_all_steps_with_eta_1_is_ancestral(num_timesteps, clip):
    process = DDPM(num_timesteps)
    ancestral = AncestralSampler('posterior', clip)
    ddim = DDIMSampler(num_timesteps, eta=1.0, clip=clip)
    steps = [
        list(sampler(process, crooked, LIKE, ImageNoise(0, range(2))))
        for sampler in (ancestral, ddim)
    ]
    assert len(steps[0]) == len(steps[1]) == num_timesteps
    for one, other in zip(*steps):
        torch.testing.assert_close(one.x_t, other.x_t, rtol=0, atol=1e-9)
    assert not torch.equal(steps[0][-1].x_t[0], steps[0][-1].x_t[1])


def test_the_variance_beta_is_exact_for_normal_images():
    """Ho et al., 2020, section 3.2; with the posterior's their variance falls short."""
    process, like = DDPM(8, 0.1, 0.5), torch.zeros(1, 3, 128, 128, dtype=torch.float64)

    def denoise(x, t):
        return process.alpha_bars[t].sqrt() * x

    stds = {}
    for variance in ('beta', 'posterior'):
        sampler = AncestralSampler(variance, clip=False)
        steps = list(sampler(process, denoise, like, ImageNoise(0, [0])))
        stds[variance] = steps[-2].x_t.std().item()
    assert stds['beta'] == pytest.approx(1, abs=0.01)
    assert stds['posterior'] < 0.95


def test_the_posteriors_variance_is_exact_for_a_single_image():
    process, like = DDPM(40, 1e-3, 0.4), torch.zeros(1, 3, 128, 128, dtype=torch.float64)
    steps = AncestralSampler('posterior')(
        process, lambda x, t: torch.full_like(x, 0.3), like, ImageNoise(0, [0])
    )
    for step, alpha_bar in zip(steps, process.alpha_bars.flip(0)[1:].tolist()):
        assert step.x_t.mean().item() == pytest.approx(0.3 * alpha_bar**0.5, abs=0.02)
        assert step.x_t.std().item() == pytest.approx((1 - alpha_bar) ** 0.5, rel=0.015)


def test_ddim_carries_a_gaussian_to_its_image():
    """The probability flow of DDPM keeps quantiles: the noise z becomes MEAN + STD z."""
    process = DDPM()

    def denoise(x, t):
        alpha = process.alpha_bars[t].sqrt()
        variance = alpha**2 * STD**2 + 1 - alpha**2
        return MEAN + alpha * STD**2 / variance * (x - alpha * MEAN)

    z = ImageNoise(0, range(2)).normal(LIKE)
    errors = [
        (run(DDIMSampler(steps, clip=False), process, denoise).x_t - MEAN - STD * z)
        .abs()
        .max()
        .item()
        for steps in (50, 100, 500)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.03


def test_timesteps_of_ddim():
    """As the authors take 100 of 1000; figure 4's short schedules take what they have."""
    assert DDIMSampler(100).timesteps(1000) == [*range(991, 0, -10), 0]
    assert DDIMSampler(64).timesteps(64) == [*range(64, 0, -1), 0]
    assert len(set(DDIMSampler(100).timesteps(256))) == 101
    assert DDIMSampler(1).timesteps(1000) == [1, 0]


def heun_error(steps):
    """Of Heun's method, from the exact solution of the probability flow on a Gaussian."""
    start = 80 * ImageNoise(0, range(2)).normal(LIKE)
    exact = MEAN + (start - MEAN) * STD / math.hypot(STD, 80)
    return (run(HeunSampler(steps, clip=False), EDM(), gaussian).x_t - exact).abs().max().item()


def test_heun_is_of_second_order():
    errors = [heun_error(steps) for steps in (16, 32, 64, 128)]
    for coarse, fine in zip(errors[1:], errors[2:]):
        assert coarse / fine == pytest.approx(4, rel=0.15)
    assert errors[-1] < 2e-3


@pytest.mark.parametrize('gamma', [0.0, 0.2, 10.0])
def test_heun_samples_a_gaussian(gamma):
    like = torch.zeros(1, 3, 128, 128)
    sampler = HeunSampler(64, 64 * gamma, S_noise=1.0, clip=False)
    x = run(sampler, EDM(), gaussian, like).x_t
    assert x.mean().item() == pytest.approx(MEAN, abs=0.01)
    assert x.std().item() == pytest.approx(STD, rel=0.02)


def test_noise_is_added_only_in_its_window():
    plain = run(HeunSampler(8), EDM(), crooked).x_t
    assert torch.equal(run(HeunSampler(8, 40.0, S_min=90, S_max=100), EDM(), crooked).x_t, plain)
    assert not torch.allclose(run(HeunSampler(8, 40.0), EDM(), crooked).x_t, plain)


def test_the_most_noise_that_algorithm_2_adds():
    """gamma_i <= sqrt(2) - 1: the variance is doubled at most."""
    x = torch.zeros(1, 3, 128, 128, dtype=torch.float64)
    sampler = HeunSampler(18, S_churn=40.0, S_noise=1.0)
    x_hat, sigma_hat = sampler.churn(x, 0.5, ImageNoise(0, [0]))
    assert HeunSampler(18, S_churn=1.8).churn(x, 0.5, ImageNoise(0, [0]))[1] == pytest.approx(0.55)
    assert sigma_hat == pytest.approx(0.5 * math.sqrt(2))
    assert x_hat.std().item() == pytest.approx(0.5, rel=0.01)


def test_calls_of_the_network():
    calls = []

    def count(x, level):
        calls.append(level)
        return torch.zeros_like(x)

    for sampler, process, expected in [
        (HeunSampler(18), EDM(), 35),
        (DDIMSampler(10), DDPM(), 10),
        (AncestralSampler(), DDPM(64), 64),
    ]:
        calls.clear()
        run(sampler, process, count)
        assert len(calls) == expected


def test_heun_goes_in_float64():
    step = run(HeunSampler(4), EDM(), lambda x, sigma: x.float(), LIKE.float())
    assert step.x_t.dtype == step.x_0.dtype == torch.float64


@pytest.mark.parametrize(
    ('sampler', 'process'),
    [(AncestralSampler(), DDPM(8)), (DDIMSampler(8), DDPM(8)), (HeunSampler(8), EDM())],
)
def test_predictions_are_clipped(sampler, process):
    images = run(sampler, process, lambda x, level: 7 * torch.ones_like(x)).x_t
    torch.testing.assert_close(images, torch.ones_like(images))


@pytest.mark.parametrize(
    ('sampler', 'process'),
    [(AncestralSampler(), DDPM(8)), (DDIMSampler(4, 1.0), DDPM(8)), (HeunSampler(4, 40.0), EDM())],
)
def test_an_image_does_not_depend_on_its_batch(sampler, process):
    both = run(sampler, process, crooked).x_t
    alone = last(sampler(process, crooked, LIKE[:1], ImageNoise(0, [1]))).x_t
    torch.testing.assert_close(alone, both[1:])


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: DDIMSampler(0), 'steps=0: must be 1 or more'),
        (lambda: HeunSampler(1), 'steps=1: must be 2 or more'),
        (lambda: DDIMSampler(eta=1.5), r'eta=1.5: must be in \[0, 1\]'),
        (lambda: HeunSampler(S_churn=-0.5), 'S_churn=-0.5: must be 0 or more'),
        (lambda: AncestralSampler('none'), "variance='none' is none of 'beta', 'posterior'"),
        (lambda: DDIMSampler(65).timesteps(64), r'steps=65: must be in \[1, 64\]'),
    ],
)
def test_refusals(make, message):
    with pytest.raises(UserError, match=message):
        make()
