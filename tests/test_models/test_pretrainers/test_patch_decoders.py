"""Patch decoders have the sizes that their description implies, and see what they should."""

import pytest
import torch

from mmaddp.models import MLPPatchDecoder, TransformerPatchDecoder
from mmaddp.models.pretrainers import patch_decoders

C, P = 32, 48


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def linear(inputs, outputs):
    return inputs * outputs + outputs


def mlp(width):
    """LayerNorm and MLP."""
    return 2 * width + linear(width, 4 * width) + linear(4 * width, width)


def block(width):
    return 2 * width + linear(width, 3 * width) + linear(width, width) + mlp(width)


def decoders(layers=(0, 2)):
    for num_layers in layers:
        for gamma in (False, True):
            sizes = dict(num_layers=num_layers, condition_on_gamma=gamma)
            yield MLPPatchDecoder(C, P, noisy=True, **sizes)
            yield TransformerPatchDecoder(C, P, num_heads=2, **sizes)


def filled(decoder, seed=0):
    """No weight is zero, biases and norms included."""
    torch.manual_seed(seed)
    decoder.init_weights()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return decoder


def inputs(*shape):
    generator = torch.Generator().manual_seed(0)
    z, x_s, gamma = (torch.randn(*shape, last, generator=generator) for last in (C, P, 1))
    return z, x_s, gamma.sigmoid()


@pytest.mark.parametrize('num_layers', [0, 1, 2, 4, 8])
@pytest.mark.parametrize('gamma', [0, 1])
def test_numbers_of_parameters(num_layers, gamma):
    # A fourth channel: as many values as pixels.
    embedding = linear(P + gamma * P // 3, C)
    sizes = dict(num_layers=num_layers, condition_on_gamma=bool(gamma))
    clean = MLPPatchDecoder(C, P, num_layers)
    assert count(clean) == num_layers * mlp(C) + linear(C, P)
    assert count(MLPPatchDecoder(C, P, noisy=True, **sizes)) == count(clean) + embedding
    norm = 2 * C if num_layers else 0
    expected = embedding + num_layers * block(C) + norm + linear(2 * C, P)
    assert count(TransformerPatchDecoder(C, P, num_heads=2, **sizes)) == expected


def test_heads_of_64_channels():
    heads = [
        TransformerPatchDecoder(width, P).blocks[0].attn.num_heads for width in (16, 192, 768, 1024)
    ]
    assert heads == [1, 3, 12, 16]


def test_linear_decoder_is_a_linear_layer():
    decoder = filled(MLPPatchDecoder(C, P))
    (z, *_) = inputs(2, 5)
    expected = z @ decoder.head.weight.t() + decoder.head.bias
    torch.testing.assert_close(decoder(z), expected)


def test_no_blocks_are_linear_in_both_tokens():
    decoder = filled(TransformerPatchDecoder(C, P, num_layers=0))
    z, x_s, _ = inputs(2, 5)
    zero = torch.zeros_like
    parts = decoder(z, zero(x_s)) + decoder(zero(z), x_s) - decoder(zero(z), zero(x_s))
    torch.testing.assert_close(decoder(z, x_s), parts)


@pytest.mark.parametrize('shape', [(), (3,), (2, 5), (2, 2, 3)])
def test_any_leading_axes(shape):
    for decoder in decoders():
        assert decoder(*inputs(*shape)).shape == (*shape, P)


@pytest.mark.parametrize('decoder', decoders(), ids=str)
def test_gamma_matters_where_it_is_conditioned_on(decoder):
    filled(decoder)
    z, x_s, gamma = inputs(2, 5)
    same = torch.equal(decoder(z, x_s, gamma), decoder(z, x_s, gamma / 2))
    assert same != decoder.condition_on_gamma
    if not decoder.condition_on_gamma:
        assert torch.equal(decoder(z, x_s), decoder(z, x_s, gamma))


@pytest.mark.parametrize('decoder', decoders(), ids=str)
def test_each_patch_is_decoded_alone_from_both(decoder):
    filled(decoder)
    z, x_s, gamma = inputs(2, 5)
    before = decoder(z, x_s, gamma)
    for index, changed in enumerate([z.clone(), x_s.clone()]):
        changed[1, 3] += 1
        after = decoder(*(changed, x_s) if index == 0 else (z, changed), gamma)
        differs = (after != before).any(-1)
        assert differs[1, 3]
        differs[1, 3] = False
        assert not differs.any()


def test_more_patches_than_a_kernel_takes(monkeypatch):
    decoder = filled(TransformerPatchDecoder(C, P, num_heads=2))
    expected = decoder(*inputs(2, 5))
    monkeypatch.setattr(patch_decoders, 'MAX_SEQUENCES', 3)
    torch.testing.assert_close(decoder(*inputs(2, 5)), expected)


def test_initialization_is_xavier_uniform():
    decoder = TransformerPatchDecoder(64, 768, num_layers=1)
    decoder.init_weights()
    bound = (6 / (64 + 768)) ** 0.5
    weight = decoder.patch_embed.weight
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not decoder.head.bias.any()
    assert (decoder.norm.weight == 1).all()


@torch.no_grad()
def test_gamma_is_a_fourth_channel_of_the_patch():
    """A convolution over the patch as an image with four channels, whose last has one value."""
    side = 4
    decoder = filled(TransformerPatchDecoder(C, P, num_heads=2, condition_on_gamma=True))
    _, x_s, gamma = inputs(2, 5)
    image = x_s.view(10, side, side, 3).permute(0, 3, 1, 2)
    image = torch.cat([image, gamma.view(10, 1, 1, 1).expand(10, 1, side, side)], dim=1)
    colors, told = decoder.patch_embed.weight.split([P, side**2], dim=1)
    kernel = torch.cat([colors.view(C, side, side, 3), told.view(C, side, side, 1)], dim=-1)
    expected = torch.nn.functional.conv2d(image, kernel.permute(0, 3, 1, 2)).view(2, 5, C)
    found = decoder.embed(x_s, gamma)
    torch.testing.assert_close(found, expected + decoder.patch_embed.bias)


def test_gamma_without_corrupted_patches():
    with pytest.raises(ValueError, match=r'condition_on_gamma=True.*noisy=True'):
        MLPPatchDecoder(C, P, condition_on_gamma=True)
