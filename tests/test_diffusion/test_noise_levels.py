"""Noise levels are those of the Beta distribution, down to the smallest ones."""

import numpy as np
import pytest
import scipy.stats
import torch

from mmaddp.diffusion import BetaNoise

COUNT = 50_000


@pytest.mark.parametrize(
    ('a', 'b'), [(0.03, 1), (1, 1), (0.1, 10), (10, 0.1), (3, 10), (0.03, 0.03), (10, 10)]
)
def test_distribution_is_scipys(a, b):
    generator = torch.Generator().manual_seed(0)
    gamma = BetaNoise(a, b).sample((COUNT,), generator=generator).double().numpy()
    distribution = scipy.stats.beta(a, b)
    # Up to where float32 has no value between it and 0, or 1.
    points = np.r_[10.0 ** np.arange(-35, -1, 2), np.linspace(0.02, 0.98, 49), 1 - 1e-4, 1 - 1e-6]
    expected = distribution.cdf(points)
    share = (gamma[:, None] <= points).mean(0)
    std = np.sqrt(expected * (1 - expected) / COUNT)
    assert np.all(np.abs(share - expected) < 4.5 * std + 1e-5)


def test_moments_of_the_papers_schedule():
    """Mean a / (a + b); 93% of the patches are below 0.1, for the CDF of b = 1 is gamma^a."""
    gamma = BetaNoise(0.03, 1.0).sample((COUNT,), generator=torch.Generator().manual_seed(1))
    assert gamma.mean().item() == pytest.approx(0.03 / 1.03, abs=0.003)
    assert (gamma < 0.1).float().mean().item() == pytest.approx(0.1**0.03, abs=0.005)


def test_small_parameters_give_numbers():
    """Gamma variates of 0.001 are mostly below the smallest float64; 0 / 0 must not come out."""
    gamma = BetaNoise(1e-3, 1e-3).sample((10_000,), generator=torch.Generator().manual_seed(0))
    assert ((gamma >= 0) & (gamma <= 1)).all()
    assert (gamma > 0.5).float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_shape_type_and_randomness():
    noise = BetaNoise(1.0, 1.0)
    assert noise.sample((2, 3, 1)).shape == (2, 3, 1)
    assert noise.sample((2,)).dtype == torch.float32
    torch.manual_seed(5)
    first = noise.sample((8,))
    torch.manual_seed(5)
    assert torch.equal(noise.sample((8,)), first)
    assert not torch.equal(noise.sample((8,)), first)
    state = torch.get_rng_state()
    own = noise.sample((8,), generator=torch.Generator().manual_seed(5))
    assert torch.equal(own, first)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize('setting', [{'a': -0.5}, {'b': -1.0}, {'a': float('inf')}])
def test_parameters_out_of_range(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f'noise.{name}=.* must be 0 or more'):
        BetaNoise(**setting)
