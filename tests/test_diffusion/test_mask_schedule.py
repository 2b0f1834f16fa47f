import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmaddp.diffusion import MaskSchedule, masks_from_noise
from mmaddp.registry import TASK_UTILS
from mmaddp.utils import UserError

SCHEDULE = MaskSchedule()


def test_ratios_and_probabilities_are_the_reference_s(shared):
    golden = np.load(shared / 'reference/golden/addp_tiny.npz')
    np.testing.assert_allclose(SCHEDULE.ratios, golden['mask_ratios'], rtol=1e-6)
    np.testing.assert_allclose(SCHEDULE.probabilities, golden['mask_probs'], rtol=1e-6)


def test_probabilities_follow_the_truncated_normal_distribution():
    """Up to their sum they are the density of N(0.55, 0.25) at the ratios."""
    normal = torch.distributions.Normal(0.55, 0.25)
    density = normal.log_prob(SCHEDULE.ratios.double()).exp()
    torch.testing.assert_close(SCHEDULE.probabilities, density / density.sum(), rtol=1e-6, atol=0)


def test_sampled_timesteps_are_one_to_five_apart_and_in_range():
    torch.manual_seed(0)
    pairs = np.array([SCHEDULE.sample() for _ in range(3000)])
    apart = pairs[:, 1] - pairs[:, 0]
    inner = pairs[:, 0] + 5 < len(SCHEDULE.ratios)
    assert set(apart[inner]) == {1, 2, 3, 4, 5}
    assert pairs.min() >= 0
    assert pairs.max() == len(SCHEDULE.ratios) - 1
    mean = SCHEDULE.ratios[pairs[:, 0]].double().mean()
    expected = float(SCHEDULE.probabilities @ SCHEDULE.ratios.double())
    assert mean == pytest.approx(expected, abs=0.01)


def test_an_earlier_timestep_is_before():
    torch.manual_seed(0)
    pairs = np.array([SCHEDULE.sample(direction=-1) for _ in range(300)])
    assert (pairs[:, 1] <= pairs[:, 0]).all()
    assert pairs.min() == 0


@pytest.mark.parametrize('num_tokens', [16, 64, 256])
def test_every_ratio_masks_the_smallest_whole_number_of_positions_that_reaches_it(num_tokens):
    for index, ratio in enumerate(SCHEDULE.ratios.double()):
        count = SCHEDULE.num_masked(index, num_tokens)
        assert count - 1 < num_tokens * ratio <= count
        mask = masks_from_noise(torch.rand(3, num_tokens), count)
        assert mask.sum(1).tolist() == [count] * 3


def test_the_fixed_ratio_masks_half():
    schedule = MaskSchedule(fixed_ratio=0.5)
    assert schedule.sample() == (0, 0)
    assert schedule.num_masked(0, 256) == 128


def test_schedules_are_built_by_the_registry():
    schedule = TASK_UTILS.build(dict(type='mmaddp.MaskSchedule', fixed_ratio=0.75))
    assert schedule.num_masked(schedule.sample()[0], 16) == 12


def test_ratios_that_mask_nothing_are_refused():
    for settings, told in (
        (dict(fixed_ratio=0), r'fixed_ratio=0: must be in \[1e-06, 1\]'),
        (dict(fixed_ratio=1.5), 'fixed_ratio=1.5'),
        (dict(fixed_ratio=-0.5), 'fixed_ratio=-0.5'),
        (dict(min_ratio=-0.1), r'min_ratio=-0.1: must be in \[0, 0.9998'),
        (dict(min_ratio=1), 'min_ratio=1'),
    ):
        with pytest.raises(UserError, match=f'mask_schedule.{told}'):
            MaskSchedule(**settings)
    assert MaskSchedule(fixed_ratio=1).num_masked(0, 256) == 256
    assert MaskSchedule(min_ratio=0.9998).sample() == (0, 0)


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_masks_nest_and_have_exact_counts_even_when_noise_repeats(noise, first, second):
    few, many = sorted(min(count, len(noise)) for count in (first, second))
    noise = torch.tensor([noise])
    small, large = masks_from_noise(noise, few), masks_from_noise(noise, many)
    assert (small.sum(), large.sum()) == (few, many)
    assert not (small & ~large).any()


def test_the_ratios_are_cosines_of_sixty_six_steps():
    expected = [math.cos(math.pi / 2 * t / 100) for t in range(66, 0, -1)]
    np.testing.assert_allclose(SCHEDULE.ratios, expected, rtol=1e-6)
