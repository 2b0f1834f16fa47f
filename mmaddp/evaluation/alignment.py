"""Alignment and uniformity of features, which tell good layers without labels (section 3.3).

The metrics are those of Wang and Isola (2020), with two noised versions of an image for a positive
pair. The authors of DDAE compute the uniformity inside each batch of 128 images, in their order,
and average the logarithms over batches. Equation 4 has the logarithm outside the mean over all
pairs, and so has this module; what it has of their code is that a feature is no pair with itself.
"""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK_SIZE = 2048


def alignment(features_1: Tensor, features_2: Tensor) -> float:
    """Mean squared distance of positive pairs (equation 3); the less, the better.

    Args:
        features_1: f_t(x_t) of N images with one noise, (N, C); any length, they are normalized.
        features_2: The same images' with another noise, in the same order.

    Returns:
        0, where the noise changes nothing, to 4.

    Raises:
        ValueError: The shapes differ, there is no image, or a feature is not finite.
    """
    if features_1.shape != features_2.shape:
        raise ValueError(
            f'alignment compares features of the same images: the shapes are '
            f'{tuple(features_1.shape)} and {tuple(features_2.shape)}'
        )
    difference = on_unit_sphere(features_1) - on_unit_sphere(features_2)
    return float(difference.square().sum(1).mean())


def uniformity(features: Tensor, chunk_size: int = CHUNK_SIZE) -> float:
    """log E exp(-2 d^2) over all pairs of different images (equation 4); the less, the better.

    Pairs are taken in blocks, so that memory does not grow with the square of the number of
    images. Features that have nearly collapsed to a point lose no digits: what is averaged is
    exp(-2 d^2) - 1, of which the logarithm of 1 plus the mean is taken.

    Args:
        features: f_t(x_t) of N images, (N, C); any length, they are normalized.
        chunk_size: Rows and columns of a block.

    Returns:
        -8, were all pairs opposite, to 0, where all features are one; features spread uniformly
        in many dimensions have about -4.

    Raises:
        ValueError: There are fewer than two images, or a feature is not finite.
    """
    if len(features) < 2:
        raise ValueError(f'uniformity needs pairs of images: there is {len(features)} image')
    parts = on_unit_sphere(features).split(chunk_size)
    total = 0.0
    for (row, one), (column, other) in combinations_with_replacement(enumerate(parts), 2):
        # d^2 = 2 - 2 cos on the unit sphere.
        gains = (4 * (one @ other.T - 1)).expm1_()
        total += float((gains.triu_(1) if row == column else gains).sum())
    return math.log1p(total / math.comb(len(features), 2))


def on_unit_sphere(features: Tensor) -> Tensor:
    """Features (N, C) divided by their lengths, float64; one of zeros stays zero.

    Raises:
        ValueError: There is none, or one is not finite.
    """
    if features.ndim != 2 or not features.numel():
        raise ValueError(f'features must be (N, C), one or more: they are {tuple(features.shape)}')
    if not torch.isfinite(features).all():
        raise ValueError('features are not finite: the network or its weights are broken')
    return F.normalize(features.double(), dim=1)
