"""The features of all methods by one interface, against the networks' own passes."""

import pytest
import torch
from tiny_addp import tiny_addp
from tiny_darl import random_images as darl_images
from tiny_darl import tiny_darl
from tiny_ddae import EDM, ddae, random_images, tiny_ddae

from mmaddp.utils import UserError


def test_ddae_gives_maps_of_noised_images():
    model, images = tiny_ddae(ddae()), random_images()
    noise = torch.randn_like(images)
    assert model.layers == ['out_1', 'out_2', 'out_3', 'out_4']
    assert model.num_levels == 1000
    features = model.forward_intermediates(images, ['out_4', 'out_2'], 11, noise)
    alpha_bar = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)[:11].neg().add(1).prod()
    noised = alpha_bar.sqrt() * images + (1 - alpha_bar).sqrt() * noise
    maps = model.network.block_features(noised.float(), torch.full((2,), 11 / 1000))
    for name in ('out_2', 'out_4'):
        torch.testing.assert_close(features[name], maps[name])
        assert model.channels(name) == features[name].shape[1]


def test_time_is_the_input_of_the_network():
    assert tiny_ddae(ddae()).time(11) == pytest.approx(0.011)
    # Level 4 of EDM's 18 is sigma = 0.0599.
    assert tiny_ddae(ddae(process=EDM)).time(4) == pytest.approx(-0.7036, abs=1e-3)
    assert tiny_darl().time(None) is None


def test_the_pass_ends_behind_the_last_layer():
    model = tiny_ddae(ddae())
    model.network.up[1].register_forward_hook(lambda *_: pytest.fail('out_2 was computed'))
    assert list(model.forward_intermediates(random_images(), ['out_1'], 1)) == ['out_1']


def test_darl_is_causal():
    model = tiny_darl()
    images = darl_images(model)
    changed = images.clone()
    changed[..., -4:, -4:] = 0
    maps = [model.forward_intermediates(x, ['block_2'])['block_2'] for x in (images, changed)]
    # No other patch sees the last one.
    differs = (maps[0] != maps[1]).any(1)
    assert differs[:, -1, -1].all()
    assert differs.sum() == len(images)
    # As a backbone it keeps the mask of its config.
    assert not model.backbone.causal


def test_addp_normalizes_and_leaves_the_class_token_out():
    model, images = tiny_addp(), torch.rand(2, 3, 64, 64)
    assert model.layers == ['block_1', 'block_2']
    features = model.forward_intermediates(model.encoder_inputs(images), ['block_2'])['block_2']
    torch.testing.assert_close(features.flatten(2), model.encode(images)[:, 1:].transpose(1, 2))


@pytest.mark.parametrize(
    ('build', 'images', 'level'),
    [
        (lambda seed: tiny_ddae(ddae(), seed), random_images(), 5),
        (tiny_darl, darl_images(tiny_darl()), None),
        (tiny_addp, torch.rand(2, 3, 64, 64), None),
    ],
    ids=['DDAE', 'DARL', 'ADDP'],
)
def test_a_checkpoint_of_the_pretraining_fills_the_encoder(tmp_path, build, images, level):
    trained, model = build(1), build(2)
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / 'trained.pth')
    model.encoder_module.load(tmp_path / 'trained.pth')
    wanted, features = (
        one.forward_intermediates(images, None, level, torch.zeros_like(images))
        for one in (trained, model)
    )
    assert list(features) == model.layers
    for layer in features:
        torch.testing.assert_close(features[layer], wanted[layer])


@pytest.mark.parametrize(
    ('build', 'layers', 'level', 'message'),
    [
        (lambda: tiny_ddae(ddae()), ['out_9'], 1, 'out_9: the network has out_1, out_2, out_3'),
        (lambda: tiny_ddae(ddae()), ['out_1'], 1001, 'noise level 1001: DDPM has the levels 1 to'),
        (lambda: tiny_ddae(ddae()), ['out_1'], None, 'noise level None: DDPM has the levels 1 to'),
        (tiny_darl, ['block_1'], 3, 'noise level 3: DARL has no noise levels'),
    ],
)
def test_layers_and_levels_that_do_not_exist(build, layers, level, message):
    with pytest.raises(UserError, match=message):
        build().forward_intermediates(random_images(), layers, level)


@pytest.mark.parametrize('build', [tiny_addp, tiny_darl, lambda: tiny_ddae(ddae())])
def test_pixel_values_there_and_back(build):
    model = build()
    images = torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)
    inputs = model.data_preprocessor(dict(inputs=list(images)))['inputs']
    unit = images.flip(1) / 255
    torch.testing.assert_close(model.from_unit_range(unit), inputs)
    torch.testing.assert_close(model.to_unit_range(inputs), unit)
