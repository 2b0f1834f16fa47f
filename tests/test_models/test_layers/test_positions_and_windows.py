import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from mmaddp.models.layers import (
    LN2d,
    interpolate_pos_embed,
    interpolate_rel_pos,
    window_partition,
    window_unpartition,
)
from mmaddp.models.layers.positions import relative_to_absolute

sides = st.integers(1, 9)


@given(h=sides, w=sides, window=st.integers(1, 5))
def test_windows_go_together_again(h, w, window):
    x = torch.arange(2.0 * h * w * 3).view(2, h, w, 3)
    windows = window_partition(x, window)
    rows, columns = -(-h // window), -(-w // window)
    assert windows.shape == (2 * rows * columns, window**2, 3)
    assert windows.sum() == x.sum()
    assert torch.equal(window_unpartition(windows, window, (h, w)), x)


def test_a_window_holds_neighbors():
    x = torch.arange(16.0).view(1, 4, 4, 1)
    assert window_partition(x, 2)[1].flatten().tolist() == [2, 3, 6, 7]


@given(h=sides, w=sides, prefix=st.integers(0, 2))
def test_positions_resize_to_any_grid_and_keep_the_prefix(h, w, prefix):
    positions = torch.randn(1, prefix + 16, 5, generator=torch.Generator().manual_seed(0))
    resized = interpolate_pos_embed(positions, (h, w), prefix)
    assert resized.shape == (1, prefix + h * w, 5)
    assert torch.equal(resized[:, :prefix], positions[:, :prefix])
    grid = positions[:, prefix:].view(1, 4, 4, 5).permute(0, 3, 1, 2)
    expected = F.interpolate(grid, size=(h, w), mode='bicubic').permute(0, 2, 3, 1)
    torch.testing.assert_close(resized[:, prefix:], expected.reshape(1, h * w, 5))


@given(size=sides)
def test_relative_positions_depend_on_the_difference_only(size):
    table = torch.arange(2.0 * size - 1)[:, None]
    pairs = relative_to_absolute(table, size)[..., 0]
    for i in range(size):
        for j in range(size):
            assert pairs[i, j] == i - j + size - 1


def test_relative_tables_resize_linearly():
    table = torch.arange(7.0)[:, None].repeat(1, 2)
    assert torch.equal(interpolate_rel_pos(table, 4), table)
    resized = interpolate_rel_pos(table, 7)
    assert resized.shape == (13, 2)
    assert resized[6].tolist() == pytest.approx([3.0, 3.0])


def test_ln2d_normalizes_over_channels():
    x = torch.randn(2, 6, 3, 5, generator=torch.Generator().manual_seed(0))
    norm = LN2d(6, eps=1e-6)
    mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    torch.testing.assert_close(norm(x), (x - mean) / (variance + 1e-6).sqrt())
