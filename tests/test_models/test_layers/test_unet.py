"""Layers of the denoising UNets against plain formulas."""

import math

import pytest
import torch
from torch.nn import functional as F

from mmaddp.models.layers.unet import (
    Downsample,
    ResBlock,
    SpatialAttention,
    TimeEmbedding,
    Upsample,
)


def randomized(layer, seed=0):
    """None of its weights a constant, so that each of them counts."""
    torch.manual_seed(seed)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return layer.eval()


def group_norm(x, norm):
    groups = x.unflatten(1, (32, -1))
    mean = groups.mean((2, 3, 4), keepdim=True)
    variance = (groups - mean).square().mean((2, 3, 4), keepdim=True)
    x = ((groups - mean) / (variance + 1e-5).sqrt()).flatten(1, 2)
    return x * norm.weight[:, None, None] + norm.bias[:, None, None]


def test_attention_is_the_softmax_over_all_positions():
    attention, x = randomized(SpatialAttention(32)), torch.randn(2, 32, 3, 5)
    tokens = group_norm(x, attention.norm).flatten(2).transpose(1, 2)
    q, k, v = (tokens @ attention.qkv.weight.T + attention.qkv.bias).split(32, dim=-1)
    weights = ((q @ k.transpose(1, 2)) / math.sqrt(32)).softmax(-1)
    out = weights @ v @ attention.proj.weight.T + attention.proj.bias
    expected = x + out.transpose(1, 2).reshape(2, 32, 3, 5)
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('resample', ['', 'down', 'up'])
@pytest.mark.parametrize('out_channels', [32, 64])
def test_a_residual_block_step_by_step(resample, out_channels):
    block = randomized(ResBlock(32, out_channels, 16, dropout=0.5, resample=resample))
    x, embedding = torch.randn(2, 32, 4, 6), torch.randn(2, 16)

    def resampled(y):
        if resample == 'up':
            return y.repeat_interleave(2, 2).repeat_interleave(2, 3)
        if resample == 'down':
            rows = (y[:, :, ::2] + y[:, :, 1::2]) / 2
            return (rows[..., ::2] + rows[..., 1::2]) / 2
        return y

    branch = resampled(F.silu(group_norm(x, block.norm1)))
    branch = F.conv2d(branch, block.conv1.weight, block.conv1.bias, padding=1)
    branch = branch + (embedding @ block.time.weight.T + block.time.bias)[:, :, None, None]
    branch = F.silu(group_norm(branch, block.norm2))
    branch = F.conv2d(branch, block.conv2.weight, block.conv2.bias, padding=1)
    shortcut = resampled(x)
    if out_channels != 32:
        shortcut = F.conv2d(shortcut, block.shortcut.weight, block.shortcut.bias)
    torch.testing.assert_close(block(x, embedding), shortcut + branch, rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only():
    block = randomized(ResBlock(32, 32, 16, dropout=0.5))
    x, embedding = torch.randn(1, 32, 4, 4), torch.randn(1, 16)
    assert torch.equal(block(x, embedding), block(x, embedding))
    block.train()
    assert not torch.equal(block(x, embedding), block(x, embedding))


def test_convolutions_change_the_resolution_whatever_the_noise():
    x = torch.randn(1, 32, 4, 6)
    down, up = randomized(Downsample(32)), randomized(Upsample(32))
    assert down(x, torch.zeros(1, 8)).shape == (1, 32, 2, 3)
    copies = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = F.conv2d(copies, up.conv.weight, up.conv.bias, padding=1)
    torch.testing.assert_close(up(x, torch.ones(1, 8)), expected)


def test_the_time_embedding_has_ddpms_sinusoids():
    layer, time = randomized(TimeEmbedding(6)), torch.tensor([0.0, 0.011, -1.5])
    # Three frequencies, from 1 to 1 / 10000 in equal steps of their logarithm.
    angles = time[:, None] * torch.tensor([1.0, 0.01, 0.0001])
    sinusoids = torch.cat([angles.sin(), angles.cos()], 1)
    hidden = F.silu(sinusoids @ layer.fc1.weight.T + layer.fc1.bias)
    expected = F.silu(hidden @ layer.fc2.weight.T + layer.fc2.bias)
    torch.testing.assert_close(layer(time), expected)


def test_an_augmentation_is_a_linear_shift_of_the_sinusoids():
    layer, time = randomized(TimeEmbedding(8, augment_dim=3)), torch.tensor([0.3])
    none, zero = layer(time), layer(time, torch.zeros(1, 3))
    assert torch.equal(none, zero)
    labels = torch.tensor([[0.5, -1.0, 2.0]])
    shifted = randomized(TimeEmbedding(8))
    shifted.load_state_dict({k: v for k, v in layer.state_dict().items() if 'augment' not in k})
    with torch.no_grad():
        shifted.fc1.bias += layer.fc1.weight @ layer.augment.weight @ labels[0]
    torch.testing.assert_close(layer(time, labels), shifted(time))
