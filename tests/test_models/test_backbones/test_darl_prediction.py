"""Prediction of the next patch: what it may know, and the same patch by patch."""

import pytest
import torch
from tiny_darl_vit import POSITIONS, build, each_patch_changed
from torch.nn import functional as F

ORDERS = ('raster', 'nested-raster', 'round-robin')
GRID = (4, 4)


def predict(model, images, order=None):
    with torch.no_grad():
        return model.predict_next(*model.embed_patches(images), order)


def random_orders(batch, length=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, length, generator=generator).argsort(dim=1)


def dependencies(model, order=None):
    """(16, 16) bool by patch: whether changing the patch of a row changes the output there."""
    images, changed = each_patch_changed(model)
    difference = predict(model, images, order) - predict(model, changed, order)
    return difference.abs().amax(-1) > 1e-4


def only_later_ones(order):
    """(16, 16) bool by patch: whether the patch of a row stands before the other in its order."""
    rank = order.argsort(dim=-1).expand(16, 16)
    return rank.diagonal()[:, None] < rank


@pytest.mark.parametrize('two_stream', [False, True])
@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('positions', POSITIONS)
def test_a_patch_changes_the_predictions_behind_it_and_no_others(positions, order, two_stream):
    model = build(positions=positions, order=order, block_size=2, two_stream=two_stream)
    assert torch.equal(dependencies(model), only_later_ones(model.sequence_order(GRID)))


@pytest.mark.parametrize('positions', POSITIONS)
def test_each_image_may_have_its_own_order(positions):
    model, orders = build(positions=positions, two_stream=True), random_orders(16)
    assert torch.equal(dependencies(model, orders), only_later_ones(orders))


def test_any_fixed_order_may_be_given():
    order = random_orders(1)[0]
    assert torch.equal(dependencies(build(), order), only_later_ones(order))


@pytest.mark.parametrize('two_stream', [False, True])
def test_without_causality_predictions_would_know_their_patch(two_stream, monkeypatch):
    kernel = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, 'scaled_dot_product_attention', lambda q, k, v, **settings: kernel(q, k, v)
    )
    # The last patch is never fed, so nobody can know it.
    assert dependencies(build(two_stream=two_stream))[:15].all()


def test_an_order_may_lie_on_another_device_than_the_model():
    """As those of patch_order do, which are on the CPU."""
    model = build(two_stream=True).to('meta')
    for order in (torch.arange(16), random_orders(2)):
        assert model.permutation(GRID, order).device.type == 'meta'


def test_an_order_changes_predictions_as_a_permuted_image_would():
    model, images = build(positions='none'), torch.randn(2, 3, 32, 32)
    tokens, grid = model.embed_patches(images)
    order = random_orders(1)[0]
    with torch.no_grad():
        expected = model.predict_next(tokens[:, order], grid)
        found = model.predict_next(tokens, grid, order)[:, order]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('positions', POSITIONS)
def test_the_query_stream_knows_which_patch_is_asked_for(positions):
    images = torch.randn(1, 3, 32, 32)
    order = torch.arange(16)
    swapped = order.clone()
    swapped[[7, 8]] = swapped[[8, 7]]
    for two_stream in (False, True):
        model = build(positions=positions, two_stream=two_stream)
        seventh = predict(model, images, order)[0, 7]
        # Both predict from patches 0 to 6: the one patch 7, the other patch 8.
        eighth = predict(model, images, swapped)[0, 8]
        told = two_stream and positions != 'none'
        assert torch.allclose(seventh, eighth, atol=1e-4) != told


@pytest.mark.parametrize('two_stream', [False, True])
@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('positions', POSITIONS)
def test_patch_by_patch_it_is_the_same(positions, order, two_stream):
    model = build(positions=positions, order=order, block_size=2, two_stream=two_stream)
    tokens, grid = model.embed_patches(torch.randn(2, 3, 32, 48))
    expected = model.predict_next(tokens, grid).detach()
    state = model.start_sampling(2, grid)
    for k, patch in enumerate(model.sequence_order(grid)):
        assert state.num_given == k
        for _ in range(2):
            found = state.next_features()
            torch.testing.assert_close(found, expected[:, patch], rtol=1e-5, atol=1e-5)
        state.append(tokens[:, patch])


def test_several_patches_may_be_given_at_once_in_an_order_for_each_image():
    model, orders = build(two_stream=True), random_orders(3)
    tokens, grid = model.embed_patches(torch.randn(3, 3, 32, 32))
    by_order = torch.arange(3)[:, None], orders
    expected, tokens = model.predict_next(tokens, grid, orders)[by_order], tokens[by_order]
    state = model.start_sampling(3, grid, orders)
    for first, end in ((0, 4), (4, 5), (5, 11), (11, 15)):
        state.append(tokens[:, first:end])
        found = state.next_features()
        torch.testing.assert_close(found, expected[:, end], rtol=1e-5, atol=1e-5)


def test_orders_that_agree_need_no_query_stream():
    model = build(order='round-robin', block_size=2)
    own = model.sequence_order(GRID)
    features = (model.start_sampling(2, GRID, order) for order in (None, own, own.expand(2, -1)))
    first, *others = (state.next_features() for state in features)
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize('two_stream', [False, True])
def test_a_step_sends_its_own_tokens_alone_through_the_blocks(two_stream):
    model, lengths = build(two_stream=two_stream), []
    model.blocks[0].register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape[1]))
    tokens, grid = model.embed_patches(torch.randn(1, 3, 32, 32))
    state = model.start_sampling(1, grid)
    for k in range(16):
        state.next_features()
        state.append(tokens[:, k])
    assert lengths == [1 + two_stream] * 16


def test_the_fused_kernel_does_the_masking(monkeypatch):
    calls, kernel = [], F.scaled_dot_product_attention

    def record(q, k, v, **settings):
        calls.append(settings)
        return kernel(q, k, v, **settings)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', record)
    images = torch.randn(1, 3, 32, 32)
    predict(build(), images)
    predict(build(two_stream=True), images, random_orders(1))
    build(causal=True)(images)
    assert len(calls) == 2 + 4 + 2
    assert all(call['is_causal'] and call.get('attn_mask') is None for call in calls)


@pytest.mark.parametrize('size', [(30, 32), (32, 37)])
def test_patches_must_fill_the_image(size):
    message = rf'images of {size[0]} x {size[1]} pixels: the model takes multiples of 8; resize or'
    with pytest.raises(ValueError, match=message):
        build().embed_patches(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ('settings', 'order', 'message'),
    [
        (dict(with_start_token=False), None, 'set with_start_token=True'),
        (dict(), random_orders(2), 'needs the query stream.*set two_stream=True'),
    ],
)
def test_refuses_what_it_cannot_predict(settings, order, message):
    model = build(**settings)
    with pytest.raises(ValueError, match=message):
        predict(model, torch.zeros(2, 3, 32, 32), order)
    with pytest.raises(ValueError, match=message):
        model.start_sampling(2, GRID, order)
