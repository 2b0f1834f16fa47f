"""Alignment and uniformity of features, which reveal good layers without labels (section 3.3).

The metrics are those of Wang and Isola (2020); two noised versions of an image are a positive pair.
DDAE's authors compute the uniformity within each batch of 128 images and average the logarithms
over batches. Equation 4 has the logarithm outside the mean over all pairs, and so has this module.
As in their code, a feature is no pair with itself.
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
        features_1: f_t(x_t) of N images with one noise, (N, C) of any length.
        features_2: The features of the same images with another noise, in the same order.

    Returns:
        From 0, where the noise changes nothing, to 4.
    """
    difference = on_unit_sphere(features_1) - on_unit_sphere(features_2)
    return float(difference.square().sum(1).mean())


def uniformity(features: Tensor, chunk_size: int = CHUNK_SIZE) -> float:
    """log E exp(-2 d^2) over all pairs of different images (equation 4); lower is better.

    Args:
        features: f_t(x_t) of N >= 2 images, (N, C) of any length.
        chunk_size: Rows and columns of the blocks in which pairs are taken.

    Returns:
        From -8, were all pairs opposite, to 0, where all features are one. Features spread
        uniformly in many dimensions have about -4.
    """
    # Blocks keep memory from growing with the square of the number of images.
    parts = on_unit_sphere(features).split(chunk_size)
    total = 0.0
    for (row, one), (column, other) in combinations_with_replacement(enumerate(parts), 2):
        # exp(-2 d^2) - 1 with d^2 = 2 - 2 cos; features that nearly collapsed lose no digits.
        gains = (4 * (one @ other.T - 1)).expm1_()
        total += float((gains.triu_(1) if row == column else gains).sum())
    return math.log1p(total / math.comb(len(features), 2))


def on_unit_sphere(features: Tensor) -> Tensor:
    """Features (N, C) divided by their lengths, float64; zeros stay zero.

    Raises:
        UserError: A feature is not finite.
    """
    if not torch.isfinite(features).all():
        raise UserError('features are not finite: the network or its weights are broken')
    return F.normalize(features.double(), dim=1)
