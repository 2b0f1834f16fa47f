"""DDAE's UNets under dense heads: windows, maps let go, depths, and images seen smaller."""

import weakref

import pytest
import torch
from tiny_unet import BOTH, TIME, TINY, build
from torch.nn import functional as F

from mmaddp.models.layers.unet import SpatialAttention

# Both resolutions attend.
ATTENDING = dict(TINY, attention_stages=(0, 1))
ENCODER = dict(ATTENDING, out_blocks=('out_4', 'out_2'), time=TIME)


def encoders(window):
    """The same weights without and with windows."""
    whole, windowed = build(ENCODER), build(ENCODER, seed=1, attention_window=window)
    windowed.load_state_dict(whole.state_dict(), strict=True)
    return whole, windowed


@pytest.mark.parametrize('size', [(16, 16), (12, 16), (5, 9)])
def test_within_one_window_attention_is_global(size):
    whole, windowed = encoders(16)
    images = torch.randn(2, 3, *size)
    for expected, actual in zip(whole(images), windowed(images)):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def random_attention(window):
    torch.manual_seed(0)
    attention = SpatialAttention(32, window)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return attention.eval()


@pytest.mark.parametrize('size', [(8, 8), (7, 10)])
def test_each_window_attends_to_its_own_positions(size):
    """As if its positions were all: what fills up the last windows counts for nothing."""
    attention, x = random_attention(4), torch.randn(2, 32, *size)
    actual = attention(x) - x
    normed = attention.norm(x)
    for top in range(0, size[0], 4):
        for left in range(0, size[1], 4):
            part = normed[..., top : top + 4, left : left + 4]
            tokens = part.flatten(2).transpose(1, 2)
            q, k, v = attention.qkv(tokens).chunk(3, dim=-1)
            mixed = (q @ k.transpose(1, 2) / 32**0.5).softmax(-1) @ v
            expected = attention.proj(mixed).transpose(1, 2).reshape(part.shape)
            window = actual[..., top : top + 4, left : left + 4]
            torch.testing.assert_close(window, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('settings', BOTH)
def test_maps_that_no_block_is_given_are_let_go(settings):
    """Behind 'out_1' only the coarsest map comes across: that of the first convolution is free."""
    encoder = build(settings, out_blocks=('out_1',), time=TIME)
    maps = []
    encoder.conv_in.register_forward_hook(lambda *args: maps.append(weakref.ref(args[-1])))
    alive = []
    encoder.middle[0].register_forward_hook(lambda *_: alive.append(maps[0]() is not None))
    with torch.no_grad():
        encoder(torch.randn(1, 3, 8, 8))
    assert alive == [False]


@pytest.mark.parametrize('reduction', [2, 3])
def test_a_reduced_image_is_the_mean_of_its_pixels(reduction):
    plain, reduced = build(ENCODER), build(ENCODER, reduction=reduction)
    images = torch.randn(1, 3, 8 * reduction, 4 * reduction)
    means = F.unfold(images, reduction, stride=reduction).unflatten(1, (3, -1)).mean(2)
    expected = plain(means.unflatten(-1, (8, 4)))
    for actual, wanted in zip(reduced(images), expected):
        torch.testing.assert_close(actual, wanted, rtol=1e-5, atol=1e-5)
    uneven = reduced(torch.randn(1, 3, 8 * reduction - 1, 4 * reduction))
    assert [m.shape for m in uneven] == [m.shape for m in expected]


@pytest.mark.parametrize('settings', BOTH)
def test_depths_follow_the_computation(settings):
    whole = build(settings)
    depths = {name: whole.get_layer_depth(name) for name, _ in whole.named_parameters()}
    # Two blocks down, one resampling between them; two in the middle; four and one up.
    layers = 3 + 2 + 5
    assert {count for _, count in depths.values()} == {layers + 2}
    assert depths['conv_in.weight'][0] == depths['time_embed.fc1.bias'][0] == 0
    assert depths['down.0.res.conv1.weight'][0] == 1
    assert depths['middle.0.attn.qkv.weight'][0] == 4
    assert depths['up.4.res.conv2.bias'][0] == layers
    assert depths['conv_out.weight'][0] == layers + 1
    assert whole.get_layer_depth('backbone.up.0.res.conv1.weight', 'backbone.')[0] == 6


def test_the_last_layer_of_a_truncated_network_is_next_to_the_head():
    encoder = build(TINY, out_blocks=('out_2',), time=TIME)
    depths = [encoder.get_layer_depth(name) for name, _ in encoder.named_parameters()]
    assert {depth for depth, _ in depths} == set(range(depths[0][1] - 1))
