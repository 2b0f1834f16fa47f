"""Alignment and uniformity: closed forms, and all pairs written out."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaddp.evaluation.alignment import alignment, uniformity
from mmaddp.utils import UserError

counts = st.integers(2, 12)
channels = st.integers(2, 6)
seeds = st.integers(0, 1000)


def draw(count, dims, seed):
    return torch.randn(count, dims, generator=torch.Generator().manual_seed(seed))


def all_pairs(features):
    """Equation 4 pair by pair, in NumPy."""
    points = [row / np.linalg.norm(row) for row in features.double().numpy()]
    terms = [math.exp(-2 * np.square(x - y).sum()) for x, y in itertools.combinations(points, 2)]
    return math.log(sum(terms) / len(terms))


@settings(max_examples=30)
@given(counts, channels, seeds)
def test_alignment_is_the_mean_over_pairs(count, dims, seed):
    one, other = draw(count, dims, seed), draw(count, dims, seed + 5000)
    distances = [
        np.square(x / np.linalg.norm(x) - y / np.linalg.norm(y)).sum()
        for x, y in zip(one.double().numpy(), other.double().numpy())
    ]
    assert alignment(one, other) == pytest.approx(np.mean(distances), abs=1e-12)


@settings(max_examples=30)
@given(counts, channels, seeds, st.integers(1, 13))
def test_uniformity_is_that_of_all_pairs_in_chunks_of_any_size(count, dims, seed, chunk_size):
    features = draw(count, dims, seed)
    assert uniformity(features, chunk_size) == pytest.approx(all_pairs(features), abs=1e-12)


@settings(max_examples=20)
@given(counts, channels, seeds)
def test_order_rotation_and_length_change_nothing(count, dims, seed):
    one, other = draw(count, dims, seed).double(), draw(count, dims, seed + 5000).double()
    rotation = torch.linalg.qr(draw(dims, dims, seed).double()).Q
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    lengths = draw(count, 1, seed).double().exp()
    moved = [(lengths * points @ rotation)[order] for points in (one, other)]
    assert alignment(*moved) == pytest.approx(alignment(one, other), abs=1e-12)
    assert uniformity(moved[0], 3) == pytest.approx(uniformity(one), abs=1e-12)


def test_known_positions():
    corners = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    assert alignment(corners, corners) == 0
    assert alignment(corners, -corners) == pytest.approx(4)
    # Four pairs of corners are sqrt(2) apart and two 2.
    assert uniformity(corners) == pytest.approx(math.log((4 * math.exp(-4) + 2 * math.exp(-8)) / 6))
    assert uniformity(torch.ones(5, 3)) == pytest.approx(0, abs=1e-15)


def test_uniform_on_the_sphere():
    """cos of two points is uniform in [-1, 1] on a sphere in three dimensions."""
    expected = math.log((1 - math.exp(-8)) / 8)
    assert uniformity(draw(4000, 3, 0)) == pytest.approx(expected, abs=0.01)


def test_nearly_collapsed_features_keep_their_digits():
    """A pair at the small angle a has -2 d^2 = -2 a^2 but for a^4."""
    angle = 1e-6
    pair = torch.tensor([[1.0, 0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    assert uniformity(pair) == pytest.approx(-2 * angle**2, rel=1e-3)


def test_memory_does_not_grow_with_the_square(monkeypatch):
    largest = []
    matmul = torch.Tensor.__matmul__

    def watch(one, other):
        product = matmul(one, other)
        largest.append(product.numel())
        return product

    monkeypatch.setattr(torch.Tensor, '__matmul__', watch)
    uniformity(draw(500, 4, 0), chunk_size=64)
    assert max(largest) == 64 * 64


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match='not finite'):
        uniformity(torch.full((2, 2), torch.nan))
