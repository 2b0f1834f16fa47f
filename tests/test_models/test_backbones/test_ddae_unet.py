"""DDAE's UNets: the authors' numbers, truncation, any input size, and bad settings."""

import math

import numpy as np
import pytest
import torch
from tiny_unet import BOTH, DDPM, DDPMPP, PUBLISHED, TIME, TINY, TINY_PP, build, encoder_of, times
from tiny_unet import training_file as as_trained
from torch.nn import functional as F

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.models import DDAEUNet
from mmaddp.registry import MODELS


@pytest.fixture(scope='module')
def golden(shared):
    return np.load(shared / 'reference/golden/ddae_tiny.npz')


@pytest.fixture(scope='module')
def authors(reference_layout):
    """A network with the reference's weights."""

    def load(name):
        weights = reference_layout(f'ddae-unet-{name}-tiny')
        model = MODELS.build(dict(type='mmaddp.DDAEUNet', base_channels=32, **PUBLISHED[name]))
        model.load_state_dict(convert_checkpoint(as_trained(weights)), strict=True)
        return model.eval()

    return load


def images_and_noise(golden):
    return torch.from_numpy(golden['ddpm_x']) * 2 - 1, torch.from_numpy(golden['ddpm_noise'])


def check_features(model, x, time, golden, prefix):
    with torch.no_grad():
        features = model.block_features(x, time)
    expected = [name[len(prefix) :] for name in golden if name.startswith(prefix)]
    assert list(features) == expected
    for name, feature in features.items():
        close(feature.mean((2, 3)), torch.from_numpy(golden[prefix + name]))


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_ddpm_is_the_authors(golden, authors):
    clean, noise = images_and_noise(golden)
    betas = np.linspace(1e-4, 0.02, 1000)
    alpha_bar = float(np.prod(1 - betas[:11]))
    noised = math.sqrt(alpha_bar) * clean + math.sqrt(1 - alpha_bar) * noise
    model, time = authors('ddpm'), times(len(clean), 11 / 1000)
    with torch.no_grad():
        close(model.predict(noised, time), torch.from_numpy(golden['ddpm_eps_t11']))
    check_features(model, noised, time, golden, 'ddpm_feat_')


def test_ddpmpp_is_the_authors(golden, authors):
    clean, noise = images_and_noise(golden)
    sigma = float(golden['edm_sigma_index4_of18'])
    scale = math.sqrt(sigma**2 + 0.25)
    noised = clean + sigma * noise
    model, time = authors('ddpmpp'), times(len(clean), math.log(sigma) / 4)
    with torch.no_grad():
        prediction = model.predict(noised / scale, time)
    denoised = 0.25 / scale**2 * noised + 0.5 * sigma / scale * prediction
    close(denoised, torch.from_numpy(golden['edm_denoised']))
    check_features(model, noised / scale, time, golden, 'edm_feat_')


def millions(settings):
    with torch.device('meta'):
        model = DDAEUNet(**settings)
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def test_sizes_are_the_papers():
    # Section 3.1.
    assert round(millions({}), 1) == round(millions(DDPM), 1) == 35.7
    assert int(millions(DDPMPP)) == 56


def test_blocks_are_counted_on_the_way_up_from_the_coarsest():
    model = build(DDPM, base_channels=32)
    strides = [8] * 3 + [4] * 3 + [2] * 3 + [1] * 3
    assert list(model.up_blocks) == [f'out_{i}' for i in range(1, 13)]
    assert [block.stride for block in model.up_blocks.values()] == strides
    assert [block.channels for block in model.up_blocks.values()] == [64] * 9 + [32] * 3


@pytest.mark.parametrize('settings', BOTH)
@pytest.mark.parametrize('name', ['out_1', 'out_2', 'out_3', 'out_4'])
def test_truncation_drops_exactly_what_is_not_reached(settings, name):
    whole = build(settings)
    x = torch.randn(2, 3, 8, 8)
    feature = whole.forward_intermediates(x, [name], times(2))[name]
    feature.sum().backward()
    reached = {n for n, parameter in whole.named_parameters() if parameter.grad is not None}
    encoder = encoder_of(whole, settings, name)
    assert {n for n, _ in encoder.named_parameters()} == reached
    assert len(reached) < len(list(whole.parameters()))
    torch.testing.assert_close(encoder(x)[0], feature)


def test_a_whole_network_truncates_in_place():
    model = build(TINY)
    x = torch.randn(1, 3, 8, 8)
    expected = model.forward_intermediates(x, ['out_3'], times(1))['out_3']
    model.truncate('out_3')
    assert list(model.up_blocks) == ['out_1', 'out_2', 'out_3']
    assert torch.equal(model.block_features(x, times(1))['out_3'], expected)
    with pytest.raises(ValueError, match='truncated behind out_3 and cannot predict'):
        model.predict(x, times(1))


def test_maps_come_in_the_order_of_the_config():
    whole, images = build(TINY), torch.randn(2, 3, 8, 8)
    encoder = encoder_of(whole, TINY, 'out_4', 'out_2')
    fine, coarse = encoder(images)
    assert fine.shape == (2, 32, 8, 8)
    assert coarse.shape == (2, 64, 4, 4)
    assert torch.equal(coarse, whole.block_features(images, times(2))['out_2'])


def test_one_pass_gives_features_and_prediction():
    model, x = build(TINY), torch.randn(2, 3, 8, 8)
    features = model.block_features(x, times(2))
    prediction, maps = model.predict_with_features(x, times(2), ['out_2'])
    assert torch.equal(prediction, model.predict(x, times(2)))
    assert list(maps) == ['out_2']
    assert torch.equal(maps['out_2'], features['out_2'])


def test_time_and_augmentation_are_each_images_own():
    model, x = build(TINY_PP), torch.randn(2, 3, 8, 8)
    time, labels = torch.tensor([0.1, -0.7]), torch.randn(2, 2)
    together = model.predict(x, time, labels)
    alone = [model.predict(x[i : i + 1], time[i : i + 1], labels[i : i + 1]) for i in (0, 1)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together, model.predict(x, time.flip(0), labels), atol=1e-4)
    assert not torch.allclose(together, model.predict(x, time), atol=1e-4)


@pytest.mark.parametrize('settings', BOTH)
@pytest.mark.parametrize('size', [(8, 8), (9, 12), (7, 5), (1, 1)])
def test_any_input_size(settings, size):
    deep = dict(settings, channel_multipliers=(1, 1, 2))
    encoder = build(deep, out_blocks=['out_6', 'out_4', 'out_2'], time=TIME)
    images = torch.randn(2, 3, *size)
    padded = F.pad(images, (0, -size[1] % 4, 0, -size[0] % 4))
    for stride, ours, expected in zip((1, 2, 4), encoder(images), encoder(padded)):
        height, width = math.ceil(size[0] / stride), math.ceil(size[1] / stride)
        assert ours.shape[-2:] == (height, width)
        assert torch.equal(ours, expected[..., :height, :width])
    assert build(deep).predict(images, times(2)).shape == images.shape


@pytest.mark.parametrize('settings', BOTH)
def test_channels_last_gives_the_same_maps_for_roi_align(settings):
    encoder, images = build(settings, out_blocks=['out_4'], time=TIME), torch.randn(2, 3, 8, 8)
    expected = encoder(images)[0]
    encoder = encoder.to(memory_format=torch.channels_last)
    ours = encoder(images.to(memory_format=torch.channels_last))[0]
    assert ours.is_contiguous()
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_checkpointing_changes_no_gradient():
    gradients = []
    for with_cp in (False, True):
        model = build(TINY_PP, with_cp=with_cp)
        model.predict(torch.ones(1, 3, 8, 8), times(1), torch.ones(1, 2)).square().mean().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, recomputed in zip(*gradients):
        torch.testing.assert_close(plain, recomputed)


def test_a_frozen_encoder_neither_learns_nor_drops():
    encoder = build(dict(TINY, dropout=0.5), out_blocks=['out_2'], time=TIME, frozen=True).train()
    images = torch.randn(1, 3, 8, 8)
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert torch.equal(encoder(images)[0], encoder(images)[0])


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (
            dict(out_blocks=['out_9', 'out_1'], time=0.1),
            'layers out_9: the network has out_1, out_2, out_3, out_4',
        ),
        (dict(out_blocks=[], time=0.1), r'layers \(none\): the network has out_1'),
        (dict(attention_stages=[2]), r'attention_stages=2: must be in \[0, 1\]'),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        build(TINY, **settings)
    assert '\n' not in str(error.value)


def test_bad_calls_are_refused_in_one_line():
    model, x = build(TINY), torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match='DDAEUNet needs a time: set time'):
        model(x)
    with pytest.raises(ValueError, match='layers middle: the network has out_1, out_2'):
        model.forward_intermediates(x, ['middle'], times(1))
