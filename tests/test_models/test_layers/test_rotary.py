"""Rotary positions against the paper's formulas and timm's."""

import cmath

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import apply_rot_embed, build_rotary_pos_embed

from mmaddp.models.layers import (
    apply_rotary,
    patch_coordinates,
    phase_factors,
    raster_coordinates,
    rotary_angles,
)

positions = st.tuples(st.integers(-20, 20), st.integers(-20, 20))


def rotate(x, angles):
    return apply_rotary(x, phase_factors(angles))


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def scores(q, k, coordinates):
    """Products of all pairs of rotated queries and keys, (B, heads, N, N)."""
    angles = rotary_angles(coordinates, q.shape[-1])
    return rotate(q, angles) @ rotate(k, angles).transpose(-2, -1)


def closed_form(q, k, at_q, at_k, base=1e4):
    """Appendix D's sum over frequencies for one pair of tokens, of Python's own numbers."""
    axis_dims, total = len(q) // len(at_q), 0.0
    for axis, (m, n) in enumerate(zip(at_k, at_q)):
        for i in range(axis_dims // 2):
            pair = slice(axis * axis_dims + 2 * i, axis * axis_dims + 2 * i + 2)
            z_q, z_k = complex(*q[pair].tolist()), complex(*k[pair].tolist())
            theta = base ** (-2 * i / axis_dims)
            total += (z_k * z_q.conjugate() * cmath.exp(1j * (m - n) * theta)).real
    return total


@given(at_q=positions, at_k=positions, head_dims=st.sampled_from([4, 8, 16]))
def test_scores_are_those_of_appendix_d(at_q, at_k, head_dims):
    q, k = draw(head_dims), draw(head_dims, seed=1)
    coordinates = torch.tensor([at_q, at_k], dtype=torch.float64)
    pair = torch.stack([q, k])[None, None]
    found = scores(pair, pair, coordinates)[0, 0, 0, 1]
    assert found.item() == pytest.approx(closed_form(q, k, at_q, at_k), abs=1e-5)


@given(shift=positions, axes=st.sampled_from([1, 2]))
def test_scores_depend_on_relative_positions_only(shift, axes):
    q, k = draw(2, 3, 12, 8), draw(2, 3, 12, 8, seed=1)
    coordinates = patch_coordinates((3, 4)).double()[:, :axes]
    here = scores(q, k, coordinates)
    there = scores(q, k, coordinates + torch.tensor(shift[:axes], dtype=torch.float64))
    torch.testing.assert_close(here, there, rtol=0, atol=1e-5)
    assert not torch.allclose(here, scores(q, k, 2 * coordinates), atol=1e-2)


@pytest.mark.parametrize(('grid', 'pretrain_grid'), [((3, 5), None), ((6, 4), (3, 3))])
def test_scores_are_timms(grid, pretrain_grid):
    q, k = draw(2, 2, grid[0] * grid[1], 16), draw(2, 2, grid[0] * grid[1], 16, seed=1)
    found = scores(q, k, patch_coordinates(grid, pretrain_grid))
    sin, cos = build_rotary_pos_embed(grid, dim=16, in_pixels=False, ref_feat_shape=pretrain_grid)
    # timm gives rows the first half of the channels, DARL columns.
    q, k = (apply_rot_embed(x.roll(8, dims=-1), sin, cos) for x in (q, k))
    torch.testing.assert_close(found, q @ k.transpose(-2, -1), rtol=1e-4, atol=1e-4)


def test_the_first_half_of_the_channels_turns_with_the_column():
    coordinates = patch_coordinates((2, 3))
    assert coordinates.tolist() == [[1, 1], [2, 1], [3, 1], [1, 2], [2, 2], [3, 2]]
    angles = rotary_angles(coordinates, 8, base=100.0)
    expected = [[x, 0.1 * x, y, 0.1 * y] for x, y in coordinates.tolist()]
    torch.testing.assert_close(angles, torch.tensor(expected))


@given(h=st.integers(1, 9), w=st.integers(1, 9))
def test_patches_of_the_double_resolution_lie_around_the_old_ones(h, w):
    fine = patch_coordinates((2 * h, 2 * w), (h, w)).view(h, 2, w, 2, 2)
    torch.testing.assert_close(fine.mean((1, 3)).flatten(0, 1), patch_coordinates((h, w)))
    assert (fine[:, :, :, 1, 0] - fine[:, :, :, 0, 0] == 0.5).all()
    assert fine.min() == 0.75
    assert fine.amax((0, 1, 2, 3)).tolist() == [w + 0.25, h + 0.25]


def test_one_axis_counts_in_raster_order():
    assert raster_coordinates((2, 3)).flatten().tolist() == [1, 2, 3, 4, 5, 6]
    assert raster_coordinates((2, 4), (2, 2))[:3].flatten().tolist() == [0.75, 1.25, 1.75]


def test_each_image_may_have_its_own_positions():
    x, coordinates = draw(2, 3, 4, 8), torch.rand(2, 4, 2)
    rotated = rotate(x, rotary_angles(coordinates, 8)[:, None])
    for image, own, expected in zip(x, coordinates, rotated):
        torch.testing.assert_close(rotate(image[None], rotary_angles(own, 8))[0], expected)


def test_half_precision_keeps_its_type_and_full_precision_of_angles():
    x, angles = draw(1, 1, 2, 4, dtype=torch.float32), torch.full((2, 2), 1000.3)
    rotated = rotate(x.bfloat16(), angles)
    assert rotated.dtype == torch.bfloat16
    torch.testing.assert_close(rotated.float(), rotate(x, angles), rtol=0.02, atol=0.02)


def test_gradients_are_those_of_the_formula():
    x = draw(1, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rotate(x, torch.arange(6.0).view(3, 2)), x)
