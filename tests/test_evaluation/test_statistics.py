"""Intervals and tests on simulated scores with a known effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmaddp.evaluation.statistics import estimate, holm, resample_images

IMAGES, EFFECT = 100, 2.0


def simulate(seeds, a, b, e, trials=3000):
    """Estimates of a mean with variances ``a`` (seeds), ``b`` (images) and ``e`` (both).

    They are those of the mean over seeds, whatever the number of seeds and images.
    """
    generator = np.random.default_rng(2)
    for trial in range(trials):
        if trial % 100 == 0:
            weights = resample_images(IMAGES, 200, seed=trial) / IMAGES
        scores = generator.normal(0, (e * seeds * IMAGES) ** 0.5, (IMAGES, seeds))
        scores += generator.normal(0, (b * IMAGES) ** 0.5, (IMAGES, 1))
        scores += generator.normal(0, (a * seeds) ** 0.5, seeds)
        yield (scores.mean(axis=0), weights @ scores)


@pytest.mark.parametrize(
    ('seeds', 'a', 'b', 'e'),
    [(1, 0, 1, 1), (3, 0.5, 1, 0.5), (3, 1, 0.5, 0.5), (5, 1, 0.5, 0.5)],
)
def test_coverage_and_false_positives(seeds, a, b, e):
    null, shifted = [], []
    for scores, resampled in simulate(seeds, a, b, e):
        null.append(estimate(scores, resampled, IMAGES))
        shifted.append(estimate(scores + EFFECT, resampled + EFFECT, IMAGES))
    coverage = np.mean([one.low <= EFFECT <= one.high for one in shifted])
    assert 0.93 <= coverage <= 0.97
    # 5 -+ 1 %, and the error of 3,000 trials.
    assert 0.035 <= np.mean([one.p < 0.05 for one in null]) <= 0.065
    # An effect as large as this is found far more often.
    assert np.mean([one.p < 0.05 for one in shifted]) > 0.15


def test_an_encoder_beside_itself_has_no_difference():
    scores = np.random.default_rng(0).normal(size=3)
    one = estimate(scores - scores, np.zeros((100, 3)), IMAGES)
    assert (one.mean, one.low, one.high, one.p) == (0, 0, 0, 1)


def test_by_hand():
    """Two seeds, 1 and 3: variance 2 / 2 = 1. The images add 3, their shared covariance."""
    resampled = np.array([[-1.0, -1.0], [1.0, 1.0]]) * 1.5**0.5
    assert np.cov(resampled, rowvar=False) == pytest.approx(np.full((2, 2), 3.0))
    found = estimate(np.array([1.0, 3.0]), resampled, 5)
    # 1 / freedom = (1 / 4)^1.2 / 1 + (3 / 4)^1.2 / 4, so 2.73; t(0.975, 2.73) lies between the
    # tables' 4.303 for 2 and 3.182 for 3.
    assert found.mean == 2
    assert found.high - 2 == pytest.approx(2 * 3.369, rel=1e-3)
    assert found.low == pytest.approx(4 - found.high)


def test_holm_by_hand():
    """The example of statsmodels' multipletests: 0.01 * 4, 0.02 * 3, then not smaller ones."""
    p = dict(a=0.04, b=0.01, c=0.03, d=0.02)
    assert holm(p) == pytest.approx(dict(a=0.06, b=0.04, c=0.06, d=0.06))


@given(st.dictionaries(st.integers(), st.floats(0, 1), max_size=8))
def test_holm_keeps_order_and_never_helps(p_values):
    adjusted = holm(p_values)
    assert list(adjusted) == list(p_values)
    for key, value in p_values.items():
        assert value <= adjusted[key] <= min(1, len(p_values) * value)
        assert all(adjusted[key] <= adjusted[k] for k, v in p_values.items() if v > value)


def test_a_sample_without_a_value_does_not_count():
    """Average precision of images without objects."""
    resampled = np.random.default_rng(0).normal(0.5, 0.1, (1000, 1))
    some = resampled.copy()
    some[::10] = np.nan
    scores = np.array([0.5])
    found, expected = estimate(scores, some, 50), estimate(scores, resampled, 50)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_a_test_without_a_result_changes_no_other():
    adjusted = holm({'a': float('nan'), 'b': 1e-4, 'c': 1e-3})
    assert adjusted['b'] == pytest.approx(3e-4)
    assert adjusted['c'] == pytest.approx(2e-3)
