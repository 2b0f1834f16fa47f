"""Dropout of a block: where it is, and when."""

import pytest
import torch
from torch.nn import functional as F

from mmaddp.models.layers import Block, KVCache
from mmaddp.utils import UserError

GRID = (4, 4)


def blocks(**settings):
    """A block with dropout and one of the same weights without."""
    torch.manual_seed(0)
    dropping, plain = Block(16, 2, drop_rate=0.5, **settings), Block(16, 2, **settings)
    plain.load_state_dict(dropping.state_dict())
    return dropping, plain


@torch.no_grad()
@pytest.mark.parametrize('window_size', [0, 2])
def test_dropout_acts_in_training_alone(window_size):
    dropping, plain = blocks(window_size=window_size)
    x = torch.randn(2, 16, 16)
    torch.testing.assert_close(dropping.eval()(x, GRID), plain.eval()(x, GRID), rtol=0, atol=0)
    torch.testing.assert_close(plain.train()(x, GRID), plain.eval()(x, GRID), rtol=0, atol=0)
    dropping.train()
    assert not torch.allclose(dropping(x, GRID), dropping(x, GRID))


@torch.no_grad()
def test_both_branches_and_the_weights_of_attention_are_dropped():
    dropping, plain = blocks()
    x = torch.randn(64, 16, 16)
    for part in (dropping.attn.proj_drop, dropping.mlp.drop2):
        dropped = part(torch.ones(10_000))
        assert (dropped == 0).float().mean() == pytest.approx(0.5, abs=0.05)
    # Without the dropout of what the layer gives, that of its weights is left: its mean is theirs.
    dropping.attn.proj_drop.p = 0.0
    sampled = torch.stack([dropping.attn(x, GRID) for _ in range(400)])
    assert sampled.std(0).mean() > 0.01
    expected = plain.attn(x, GRID)
    assert F.mse_loss(sampled.mean(0), expected) < 0.02 * sampled.var(0).mean()


def test_dropout_and_relative_positions_are_refused_together():
    with pytest.raises(ValueError, match=r'drop_rate=0\.1, .* be 0 and False with relative pos'):
        Block(16, 2, drop_rate=0.1, rel_pos_size=GRID)


def test_relative_positions_refuse_what_they_would_ignore():
    with pytest.raises(UserError, match=r'two_stream=True: must be 0 and False with relative pos'):
        Block(16, 2, two_stream=True, rel_pos_size=GRID)
    block, x = Block(16, 2, rel_pos_size=GRID), torch.randn(1, GRID[0] * GRID[1], 16)
    phases = torch.ones(x.shape[1], 4, dtype=torch.complex64)
    for options in (dict(causal=True), dict(phases=phases), dict(cache=KVCache(x.shape[1]))):
        with pytest.raises(UserError, match='relative positions allow no causal mask'):
            block(x, GRID, **options)
