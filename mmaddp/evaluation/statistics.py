"""Intervals and paired tests for scores of several trainings on one set of images.

The score of training s (a seed) on a set of n images is taken as a crossed array of two random
effects (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007):

    score_s = mu + A_s + B + E_s,    Var(A_s) = a,  Var(B) = b / n,  Var(E_s) = e / n

A is the luck of the seed, B that of the images, which all trainings share, and E what a training
does on single images. The mean over S seeds has the variance

    V = a / S + b / n + e / (S n) = Var_s(score_s) / S + Cov_images(score_s, score_t),    s != t

The first term is the sample variance of the seeds. The second comes from the bootstrap over images:
scores that are no means, such as mIoU and AP, need it. Seeds are not resampled: with three of them
the bootstrap's variance would be a third too small, and its quantiles would be those of ten values.
Intervals and tests use Student's t with 1 / freedom = sum of share^1.2 / freedom over both terms,
of S - 1 and n - 1 degrees. Satterthwaite's formula has the exponent 2 and rejects up to 8 % of true
hypotheses at 5 % with three seeds. With 1.2 it is 4.0 to 6.1 % with three, and 4.2 to 5.1 % with
five, whatever the shares. With two seeds it is up to 10 %, so a comparison needs three seeds for a
test. The distribution of Behrens and Fisher, sqrt(part_1) t_1 + sqrt(part_2) t_2, has no exponent
to choose and never rejects more than 5 %. But with three seeds and two equal parts it rejects only
2.4 %, so it misses real differences. The answer is about new seeds and new images of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
RESAMPLES = 1000
EXPONENT = 1.2
Key = TypeVar('Key')


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, or a mean difference of two encoders.

    Attributes:
        mean: The mean over seeds.
        low: Lower bound of the 95 % interval.
        high: Upper bound.
        p: Two-sided p-value of the hypothesis that the mean is 0.
        seeds: Number of seeds. With one, the interval is about new images only.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int


def resample_images(images: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each image is in each bootstrap sample, int (resamples, images)."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(images, np.full(images, 1 / images), size=resamples)


def estimate(scores: np.ndarray, resampled: np.ndarray, images: int) -> Estimate:
    """Mean, interval and p-value of a score.

    Args:
        scores: (seeds,), on all images. For a paired test, the differences of two encoders.
        resampled: (resamples, seeds), the same on bootstrap samples of the images. All seeds and
            both encoders share the samples.
        images: Number of images.
    """
    seeds, mean = len(scores), float(np.mean(scores))
    # A sample of images without any object has no average precision.
    resampled = resampled[np.isfinite(np.reshape(resampled, (len(resampled), -1))).all(axis=1)]
    covariance = np.atleast_2d(np.cov(resampled, rowvar=False))
    if seeds == 1:
        parts, freedoms = np.array([covariance[0, 0]]), np.array([images - 1])
    else:
        shared = (covariance.sum() - covariance.trace()) / (seeds * (seeds - 1))
        # A variance cannot be negative; the noise of the bootstrap can.
        parts = np.array([np.var(scores, ddof=1) / seeds, max(shared, 0.0)])
        freedoms = np.array([seeds - 1, images - 1])
    variance = float(parts.sum())
    if variance == 0:
        return Estimate(mean, mean, mean, 1.0 if mean == 0 else 0.0, seeds)
    freedom = 1 / float(((parts / variance) ** EXPONENT / freedoms).sum())
    error = variance**0.5
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(mean) / error))
    return Estimate(mean, mean - reach, mean + reach, p, seeds)


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Adjusted p-values by key: Holm's step-down procedure, valid under any dependence.

    Rejecting those below 0.05 makes one false rejection or more with a probability of at most 5 %.
    """
    adjusted, largest = {}, 0.0
    # A test without a result comes last and changes no other.
    ordered = sorted(p_values, key=lambda key: (np.isnan(p_values[key]), p_values[key]))
    for rank, key in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * p_values[key]))
        adjusted[key] = largest
    return {key: adjusted[key] for key in p_values}
