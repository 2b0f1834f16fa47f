"""Alignment and uniformity of features, which select layers without labels (section 3.3).

The metrics are those of Wang and Isola (2020); two noised versions of an image are a positive pair.
DDAE's authors average the logarithm of the uniformity over batches of 128 images. This module
follows equation 4, the logarithm of the mean over all pairs. As in their code, a feature does not
pair with itself.
"""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import torch
from torch import Tensor
from torch.nn import functional as F

from mmaddp.utils import UserError

CHUNK_SIZE = 2048


def alignment(features_1: Tensor, features_2: Tensor) -> float:
    """Mean squared distance of positive pairs (equation 3); lower is better.

    Args:
        features_1: f_t(x_t) of N images with one noise, (N, C), not normalized.
        features_2: The same images with another noise, in the same order.

    Returns:
        From 0, if the noise changes nothing, to 4.
    """
    difference = on_unit_sphere(features_1) - on_unit_sphere(features_2)
    return float(difference.square().sum(1).mean())


def uniformity(features: Tensor, chunk_size: int = CHUNK_SIZE) -> float:
    """log E exp(-2 d^2) over all pairs of different images (equation 4); lower is better.

    Args:
        features: f_t(x_t) of N >= 2 images, (N, C), not normalized.
        chunk_size: Rows and columns of the blocks of pairs.

    Returns:
        From -8, if all pairs were opposite, to 0, if all features are equal; about -4 for a uniform
        distribution in many dimensions.
    """
    # In blocks, or memory would grow with the square of the number of images.
    parts = on_unit_sphere(features).split(chunk_size)
    total = 0.0
    for (row, one), (column, other) in combinations_with_replacement(enumerate(parts), 2):
        # exp(-2 d^2) - 1 with d^2 = 2 - 2 cos; expm1 keeps the digits of nearly equal features.
        gains = (4 * (one @ other.T - 1)).expm1_()
        total += float((gains.triu_(1) if row == column else gains).sum())
    return math.log1p(total / math.comb(len(features), 2))


def on_unit_sphere(features: Tensor) -> Tensor:
    """Features (N, C) divided by their norms, float64; zeros stay zero.

    Raises:
        UserError: A feature is not finite.
    """
    if not torch.isfinite(features).all():
        raise UserError('features are not finite: the network or its weights are broken')
    return F.normalize(features.double(), dim=1)
