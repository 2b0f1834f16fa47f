import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmaddp.models.layers import patch_order
from mmaddp.models.layers.sequence import in_order, inverse

KINDS = ('raster', 'nested-raster', 'round-robin')


def test_nested_raster_finishes_a_block_before_the_next():
    assert patch_order((4, 4), 'nested-raster', 2).tolist() == [
        *(0, 1, 4, 5),
        *(2, 3, 6, 7),
        *(8, 9, 12, 13),
        *(10, 11, 14, 15),
    ]


def test_round_robin_takes_one_patch_of_each_block_in_turn():
    assert patch_order((4, 4), 'round-robin', 2).tolist() == [
        *(0, 2, 8, 10),
        *(1, 3, 9, 11),
        *(4, 6, 12, 14),
        *(5, 7, 13, 15),
    ]


@given(
    blocks=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    block_size=st.integers(1, 4),
    kind=st.sampled_from(KINDS),
)
def test_orders_are_permutations_that_end_at_the_bottom_right(blocks, block_size, kind):
    grid = tuple(count * block_size for count in blocks)
    order = patch_order(grid, kind, block_size)
    assert sorted(order.tolist()) == list(range(grid[0] * grid[1]))
    assert order[-1] == grid[0] * grid[1] - 1


@given(length=st.integers(1, 12), batch=st.integers(0, 3), seed=st.integers(0, 99))
def test_inverse_undoes_an_order(length, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(*[batch] * bool(batch), length, generator=generator).argsort(-1)
    x = torch.randn(max(batch, 1), length, 2, generator=generator)
    there = in_order(x, order)
    for image, positions in enumerate(order.expand(len(x), -1)):
        assert torch.equal(there[image], x[image][positions])
    assert torch.equal(in_order(there, inverse(order)), x)


@pytest.mark.parametrize('grid', [(14, 14), (8, 6)])
def test_blocks_must_fill_the_grid(grid):
    for kind in KINDS[1:]:
        with pytest.raises(RuntimeError, match='is invalid for input of size'):
            patch_order(grid, kind, 4)


def test_an_unknown_order_names_those_there_are():
    with pytest.raises(ValueError, match="order='spiral' is none of 'raster', 'nested-raster'"):
        patch_order((4, 4), 'spiral')
