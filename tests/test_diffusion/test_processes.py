"""Perturbation, preconditioning and objectives in closed form."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaddp.diffusion import (
    DDPM,
    EDM,
    ADDPSampler,
    AncestralSampler,
    DDIMSampler,
    HeunSampler,
    ImageNoise,
    samplers_of,
)
from mmaddp.registry import TASK_UTILS
from mmaddp.utils import UserError

BOTH = pytest.mark.parametrize('process', [DDPM(), EDM()], ids=['ddpm', 'edm'])
sigmas = st.floats(1e-3, 100)


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def nothing(x, time):
    return torch.zeros_like(x)


@pytest.mark.parametrize('t', [1, 11, 300, 1000])
def test_moments_of_ddpm(t):
    """A product of the betas, from the definition of section 3.1."""
    alpha_bar = np.prod([1 - (1e-4 + (0.02 - 1e-4) * i / 999) for i in range(t)])
    x_0 = torch.full((1, 3, 300, 300), 0.7, dtype=torch.float64)
    x_t = DDPM().perturb(x_0, t, noise(1, 3, 300, 300))
    assert x_t.mean().item() == pytest.approx(0.7 * alpha_bar**0.5, abs=0.01)
    assert x_t.std().item() == pytest.approx((1 - alpha_bar) ** 0.5, rel=0.01)


@pytest.mark.parametrize('sigma', [0.002, 0.5, 80.0])
def test_moments_of_edm(sigma):
    x_0 = torch.full((1, 3, 300, 300), 0.7, dtype=torch.float64)
    x_t = EDM().perturb(x_0, sigma, noise(1, 3, 300, 300))
    assert x_t.mean().item() == pytest.approx(0.7, abs=0.01 * sigma)
    assert x_t.std().item() == pytest.approx(sigma, rel=0.01)


def test_what_is_left_of_the_signal():
    """4.04e-5 is well known of DDPM; fewer levels over the same betas leave more (figure 4)."""
    left = [DDPM(steps).alpha_bars[-1].item() for steps in (1000, 512, 256, 64)]
    assert left[0] == pytest.approx(4.0358e-5, rel=1e-4)
    assert left == sorted(left)
    assert left[-1] == pytest.approx(math.exp(-64 * 0.01005), rel=0.01)


def test_halves_of_the_range():
    larger, smaller = DDPM(beta_start=0.01005), DDPM(beta_end=0.01005)
    whole = DDPM().alpha_bars
    assert (larger.alpha_bars[1:] < whole[1:]).all()
    assert (smaller.alpha_bars[2:] > whole[2:]).all()


def test_numbers_of_edms_levels():
    """What the authors' code computes for 18 steps."""
    known = {1: 0.002, 4: 0.0599473, 5: 0.1395165, 9: 1.9233401, 17: 57.58600, 18: 80.0}
    for number, sigma in known.items():
        assert EDM().level(number) == pytest.approx(sigma, rel=1e-6)
    schedule = EDM().schedule(18)
    assert len(schedule) == 19
    assert schedule[-1] == 0
    assert (schedule.diff() < 0).all()


def test_time_inputs():
    torch.testing.assert_close(DDPM().time(torch.tensor([11, 1000])), torch.tensor([0.011, 1.0]))
    assert DDPM(64).time(32).item() == 0.5
    torch.testing.assert_close(EDM().time(torch.tensor([1.0, math.e])), torch.tensor([0.0, 0.25]))


@settings(max_examples=25)
@given(sigmas, st.floats(0.1, 2))
def test_preconditioning_has_unit_variance(sigma, sigma_data):
    """Of input and target, for clean images of std sigma_data and independent noise."""
    one = torch.ones(1, 3, 1, 1, dtype=torch.float64)
    process = EDM(sigma_data=sigma_data)
    c_skip, c_out, c_in = (f.item() for f in process.preconditioning(sigma, one))
    assert c_in**2 * (sigma_data**2 + sigma**2) == pytest.approx(1)
    target_variance = ((1 - c_skip) * sigma_data) ** 2 + (c_skip * sigma) ** 2
    assert target_variance / c_out**2 == pytest.approx(1, rel=1e-5)
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    assert process.weight(sigma, one).item() == pytest.approx(weight)


@pytest.mark.parametrize('sigma', [0.002, 0.3, 80.0])
def test_the_network_of_edm_sees_unit_variance(sigma):
    seen = []

    def network(x, time):
        seen.append(x)
        return torch.zeros_like(x)

    x_0 = 0.5 * noise(4, 3, 64, 64)
    loss = EDM().loss(network, x_0, sigma, noise(4, 3, 64, 64, seed=1))
    assert seen[0].std().item() == pytest.approx(1, abs=0.02)
    assert seen[0].dtype == torch.float32
    # What is left to predict has unit variance too, so that predicting nothing costs 1.
    assert loss.item() == pytest.approx(1, abs=0.05)


@settings(max_examples=25)
@given(sigmas)
def test_edm_on_a_gaussian(sigma):
    """With images of std sigma_data alone, the best denoiser is c_skip x."""
    x_t = noise(2, 3, 4, 4)
    best = x_t * 0.25 / (0.25 + sigma**2)
    torch.testing.assert_close(EDM().denoise(nothing, x_t, sigma), best)


@BOTH
def test_who_knows_the_noise_knows_the_image(process):
    x_0, epsilon = noise(3, 3, 8, 8).clamp(-1, 1), noise(3, 3, 8, 8, seed=1)
    level = process.sample_levels(3, generator=torch.Generator().manual_seed(0))

    def network(x, time):
        if isinstance(process, DDPM):
            return epsilon
        c_skip, c_out, _ = process.preconditioning(level, x_0)
        return (x_0 - c_skip * process.perturb(x_0, level, epsilon)) / c_out

    x_t = process.perturb(x_0, level, epsilon)
    torch.testing.assert_close(process.denoise(network, x_t, level), x_0)
    assert process.loss(network, x_0, level, epsilon).item() == pytest.approx(0, abs=1e-12)


def test_ddpms_objective_is_the_error_of_the_noise():
    x_0, epsilon = noise(2, 3, 8, 8), noise(2, 3, 8, 8, seed=1)
    loss = DDPM().loss(lambda x, time: x, x_0, 500, epsilon)
    x_t = DDPM().perturb(x_0, 500, epsilon)
    assert loss.item() == pytest.approx(((x_t - epsilon) ** 2).mean().item(), rel=1e-5)


@BOTH
def test_each_image_has_its_own_level(process):
    """The network included, which is told of all levels, one for each image."""

    def network(x, time):
        assert time.shape == (len(x),)
        return torch.sin(3 * x + time.view(-1, 1, 1, 1))

    x_0, epsilon = noise(2, 3, 4, 4), noise(2, 3, 4, 4, seed=1)
    level = torch.tensor([process.level(3), process.level(9)])
    together = process.perturb(x_0, level, epsilon)
    denoised = process.denoise(network, together, level)
    for position in range(2):
        image, fresh, number = x_0[[position]], epsilon[[position]], level[position].item()
        alone = process.perturb(image, number, fresh)
        torch.testing.assert_close(together[[position]], alone)
        torch.testing.assert_close(denoised[[position]], process.denoise(network, alone, number))


@BOTH
def test_reduced_precision_stays_inside_the_network(process):
    x_0 = noise(2, 3, 4, 4, dtype=torch.float32)
    level = process.sample_levels(2)
    denoised = process.denoise(lambda x, time: x.bfloat16(), x_0, level)
    assert denoised.dtype == torch.float32
    assert process.loss(lambda x, time: x.bfloat16(), x_0, level, x_0).dtype == torch.float32


def test_timesteps_are_uniform():
    sampled = DDPM(4).sample_levels(40_000, generator=torch.Generator().manual_seed(0))
    values, counts = sampled.unique(return_counts=True)
    assert values.tolist() == [1, 2, 3, 4]
    assert (counts / 40_000 - 0.25).abs().max() < 0.01


def test_sigmas_are_log_normal():
    sampled = EDM().sample_levels(100_000, generator=torch.Generator().manual_seed(0)).log()
    assert sampled.mean().item() == pytest.approx(-1.2, abs=0.02)
    assert sampled.std().item() == pytest.approx(1.2, abs=0.02)


@BOTH
@pytest.mark.parametrize('number', [0, -1, 1001, 1.5])
def test_a_level_that_there_is_not(process, number):
    with pytest.raises(UserError, match=rf'noise level {number}: \w+ has the levels 1 to \d+$'):
        process.level(number)


MEAN, STD = 0.3, 0.5
# As much noise as DDPM's own, in fewer steps.
SHORT = DDPM(250, 4e-4, 0.08)


def best_of_ddpm(x_t, time):
    """The noise as it is best predicted of images from N(MEAN, STD^2)."""
    alpha = SHORT.alpha_bars[(250 * time).round().long()].sqrt().view(-1, 1, 1, 1)
    variance = alpha**2 * STD**2 + 1 - alpha**2
    return ((1 - alpha**2).sqrt() * (x_t - alpha * MEAN) / variance).float()


def best_of_edm(x, time):
    """What is best predicted of the same images, through the preconditioning."""
    sigma = (4 * time.double()).exp()
    factors = EDM().preconditioning(sigma, x.double())
    x_t = x / factors.c_in
    sigma = sigma.view(-1, 1, 1, 1)
    x_0 = MEAN + (x_t - MEAN) * STD**2 / (STD**2 + sigma**2)
    return ((x_0 - factors.c_skip * x_t) / factors.c_out).float()


@pytest.mark.parametrize(
    ('process', 'network', 'sampler'),
    [
        (SHORT, best_of_ddpm, DDIMSampler(125, clip=False)),
        (SHORT, best_of_ddpm, DDIMSampler(250, eta=1.0, clip=False)),
        (SHORT, best_of_ddpm, AncestralSampler(clip=False)),
        (EDM(), best_of_edm, HeunSampler(40, clip=False)),
        (EDM(), best_of_edm, HeunSampler(40, S_churn=40.0, S_noise=1.0, clip=False)),
    ],
    ids=['ddim', 'ddim-eta-1', 'ancestral', 'heun', 'heun-stochastic'],
)
def test_the_best_network_samples_what_it_was_trained_on(process, network, sampler):
    """From training to images: the time input, the prediction and the sampler agree."""
    like = torch.zeros(1, 3, 40, 40)
    images = sampler.sample(process, network, like, ImageNoise(0, [0]))
    assert images.mean().item() == pytest.approx(MEAN, abs=0.03)
    assert images.std().item() == pytest.approx(STD, rel=0.05)


@BOTH
def test_samples_of_the_wanted_shape(process):
    like = torch.zeros(2, 3, 8, 4)
    sampler = next(iter(samplers_of(process).values()))
    images = sampler.sample(process, nothing, like, ImageNoise(0, range(2)))
    assert images.shape == like.shape
    assert images.dtype == torch.float32
    assert not torch.equal(images[0], images[1])


def test_few_timesteps_take_few_steps():
    calls = []
    sampler = samplers_of(DDPM(64))['ddim']
    sampler.sample(
        DDPM(64), lambda x, time: calls.append(time) or x, torch.zeros(1, 3, 2, 2), one_image()
    )
    assert len(calls) == 64


def test_each_process_has_its_samplers_the_default_one_first():
    assert samplers_of(DDPM()) == {'ddim': DDIMSampler(100), 'ancestral': AncestralSampler()}
    assert samplers_of(EDM(num_steps=7)) == {'heun': HeunSampler(7)}


def test_a_sampler_from_outside_joins_those_of_its_process(monkeypatch):
    class Reverse(AncestralSampler):
        name = 'reverse'

    monkeypatch.setitem(TASK_UTILS.module_dict, 'Reverse', Reverse)
    assert list(samplers_of(DDPM())) == ['ddim', 'ancestral', 'reverse']
    assert 'reverse' not in samplers_of(EDM())


def test_samplers_are_built_from_configs():
    config = dict(type='mmaddp.HeunSampler', steps=9, S_churn=2.0)
    assert TASK_UTILS.build(config) == HeunSampler(9, 2.0)
    assert TASK_UTILS.build(dict(type='mmaddp.ADDPSampler', steps=3)) == ADDPSampler(3)


def one_image():
    return ImageNoise(0, [0])


def test_a_sampler_of_another_process():
    with pytest.raises(UserError, match='HeunSampler does not sample from DDPM: take DDIMSampler'):
        HeunSampler().sample(DDPM(), nothing, torch.zeros(1, 3, 2, 2), one_image())


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='DDPM', beta_start=0.03), 'beta_start=0.03: must be in (0, 0.02]'),
        (dict(type='DDPM', beta_end=1.0), 'beta_end=1.0: must be in (0, 0.999]'),
        (dict(type='EDM', sigma_data=0), 'sigma_data=0: must be above 0'),
        (dict(type='EDM', sigma_min=90), 'sigma_min=90: must be in (0, 80.0]'),
        (dict(type='EDM', sigmadata=1), "unexpected keyword argument 'sigmadata'"),
    ],
)
def test_refusals_in_one_line(config, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        TASK_UTILS.build(config)
    line = str(caught.value)
    assert '\n' not in line
    assert message in line
