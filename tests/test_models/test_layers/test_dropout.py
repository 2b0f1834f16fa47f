"""Dropout by cheap random bits is dropout."""

import pytest
import torch
from torch.nn import functional as F

from mmaddp.models.layers import Dropout, dropout, dropout_attention


@pytest.fixture(scope='module')
def kept():
    """Whether each of 4 neighbors was kept, (40000, 4)."""
    torch.manual_seed(0)
    return (dropout(torch.ones(40000, 4), 0.25) > 0).double()


def test_a_share_p_is_dropped_and_the_mean_kept(kept):
    assert kept.mean(0).numpy() == pytest.approx(0.75, abs=0.01)  # std 0.002
    torch.manual_seed(0)
    values = dropout(torch.ones(1001), 0.25).unique()
    torch.testing.assert_close(values, torch.tensor([0, 4 / 3]))


def test_the_four_elements_of_a_draw_are_independent(kept):
    assert torch.corrcoef(kept.T).fill_diagonal_(0).abs().max() < 0.02  # std 0.005


def test_gradients_pass_where_elements_are_kept():
    x = torch.randn(3, 7, requires_grad=True)
    y = dropout(x, 0.5)
    y.sum().backward()
    torch.testing.assert_close(y, x * x.grad)
    assert x.grad.unique().tolist() == [0, 2]


def test_the_seed_decides():
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(dropout(torch.ones(99), 0.1))
    assert draws[0].equal(draws[1])
    assert not draws[0].equal(draws[2])


def test_evaluation_and_the_ends_are_those_of_pytorch():
    x = torch.randn(5)
    assert Dropout(0.5).eval()(x).equal(x)
    assert dropout(x, 0).equal(x)
    assert dropout(x, 1).equal(torch.zeros(5))


def test_attention_is_that_of_the_fused_kernel():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 9, 8)
    expected = F.scaled_dot_product_attention(q, k, v)
    # So small a p is rounded down to 0.
    torch.testing.assert_close(dropout_attention(q, k, v, 1e-6), expected)
    # The mean over many draws is that without dropout.
    repeated = (x.repeat(4000, 1, 1, 1) for x in (q, k, v))
    mean = dropout_attention(*repeated, 0.1).unflatten(0, (-1, 2)).mean(0)
    torch.testing.assert_close(mean, expected, rtol=0, atol=0.03)
