"""Causal attention: its kernel, its cache and its query stream."""

import pytest
import torch
from torch.nn import functional as F

from mmaddp.models.layers import Attention, KVCache
from mmaddp.models.layers.attention import causal_attention

GRID = (2, 3)


def attention(**settings):
    torch.manual_seed(0)
    return Attention(16, 2, **settings).eval()


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def calls(monkeypatch):
    """What the fused kernel is called with."""
    seen, kernel = [], F.scaled_dot_product_attention

    def record(q, k, v, **settings):
        seen.append(settings)
        return kernel(q, k, v, **settings)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', record)
    return seen


@torch.no_grad()
@pytest.mark.parametrize('length', [1, 2, 6])
def test_queries_of_the_last_positions_see_what_a_mask_would_let_them(length):
    q, k, v = tokens(3, 2, 2, 6, 8).unbind(0)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)[:, :, -length:]
    torch.testing.assert_close(causal_attention(q[:, :, -length:], k, v), expected)


def test_the_kernel_is_told_of_causality_and_given_no_mask(calls):
    x, sizes = tokens(1, 64, 16), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, same):
        attention()(x, (8, 8), causal=True).sum().backward()
        attention(two_stream=True)(x, (8, 8), causal=True, num_queries=32).sum().backward()
    assert [call['is_causal'] for call in calls] == [True] * 3
    assert all(call.get('attn_mask') is None for call in calls)
    assert max(sizes) < 64 * 64


def same(x):
    return x


@torch.no_grad()
@pytest.mark.parametrize('chunks', [[1] * 6, [3, 3], [2, 1, 3]])
def test_a_cache_gives_what_the_whole_sequence_does(chunks):
    x, layer = tokens(2, 6, 16), attention()
    phases = torch.polar(torch.ones(6, 4), tokens(6, 4))
    cache, found, first = KVCache(6), [], 0
    for length in chunks:
        part = slice(first, first + length)
        found.append(layer(x[:, part], GRID, phases[part], causal=True, cache=cache))
        first += length
    expected = layer(x, GRID, phases, causal=True)
    torch.testing.assert_close(torch.cat(found, dim=1), expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(expected, layer(x, GRID, causal=True), atol=1e-3)


@torch.no_grad()
def test_the_query_stream_asks_content_and_is_not_seen():
    layer, content, queries = attention(two_stream=True), tokens(2, 6, 16), tokens(2, 6, 16, seed=2)
    found = layer(torch.cat([content, queries], dim=1), GRID, causal=True, num_queries=6)
    torch.testing.assert_close(found[:, :6], layer(content, GRID, causal=True))
    q = layer.query(queries).view(2, 6, 2, 8).transpose(1, 2)
    k, v = (x.view(2, 6, 2, 8).transpose(1, 2) for x in layer.qkv(content).split(16, dim=-1)[1:])
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    weights = (q @ k.transpose(-2, -1) / 8**0.5).masked_fill(~mask, -torch.inf).softmax(-1)
    expected = layer.proj((weights @ v).transpose(1, 2).reshape(2, 6, 16))
    torch.testing.assert_close(found[:, 6:], expected, rtol=1e-4, atol=1e-5)


def test_a_cache_refuses_more_than_it_was_made_for():
    cache = KVCache(3)
    keys, values = cache.append(tokens(1, 1, 2, 4), tokens(1, 1, 2, 4, seed=2))
    assert torch.equal(keys, tokens(1, 1, 2, 4))
    assert torch.equal(values, tokens(1, 1, 2, 4, seed=2))
    with pytest.raises(RuntimeError):
        cache.append(keys, values)
