"""The encoders as probing sees them, against the networks' own passes."""

import pytest
import torch
from tiny_addp import tiny_addp
from tiny_darl import random_images as darl_images
from tiny_darl import tiny_darl
from tiny_ddae import EDM, UNET, ddae, random_images, tiny_ddae

from mmaddp.models.probing import average, probed_encoder
from mmaddp.registry import MODELS
from mmaddp.utils import UserError


def test_ddae_gives_the_pooled_maps_of_noised_images():
    model, images = tiny_ddae(ddae()), random_images()
    noise = torch.randn_like(images)
    encoder = probed_encoder(model)
    assert encoder.layers == ['out_1', 'out_2', 'out_3', 'out_4']
    assert encoder.num_levels == 1000
    features = encoder.features(images, 11, noise, ['out_4', 'out_2'])
    alpha_bar = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)[:11].neg().add(1).prod()
    noised = alpha_bar.sqrt() * images + (1 - alpha_bar).sqrt() * noise
    maps = model.network.block_features(noised.float(), torch.full((2,), 11 / 1000))
    for name in ('out_2', 'out_4'):
        torch.testing.assert_close(features[name], maps[name].mean((2, 3)))
        assert encoder.channels(name) == features[name].shape[1]


def test_the_time_is_the_networks_own():
    assert probed_encoder(tiny_ddae(ddae())).time(11) == pytest.approx(0.011)
    # Level 4 of EDM's 18 is sigma = 0.0599.
    assert probed_encoder(tiny_ddae(ddae(process=EDM))).time(4) == pytest.approx(-0.7036, abs=1e-3)


def test_the_pass_ends_behind_the_last_layer():
    model = tiny_ddae(ddae())
    encoder = probed_encoder(model)
    model.network.up[1].register_forward_hook(lambda *_: pytest.fail('out_2 was computed'))
    assert list(encoder.features(random_images(), 1, None, ['out_1'])) == ['out_1']


def test_darl_is_causal_and_as_its_backbone():
    model = tiny_darl()
    images = darl_images(model)
    encoder = probed_encoder(model)
    features = encoder.features(images, None, None, ['block_1', 'block_2'])
    changed = images.clone()
    changed[..., -4:, -4:] = 0
    maps, changed_maps = (encoder.maps(x, None, None, ['block_2']) for x in (images, changed))
    torch.testing.assert_close(features['block_2'], maps['block_2'].mean((2, 3)))
    # The last patch is seen by none before it.
    differs = (maps['block_2'] != changed_maps['block_2']).any(1)
    assert differs[:, -1, -1].all()
    assert differs.sum() == len(images)


def test_addp_normalizes_and_leaves_the_class_token_out():
    model, images = tiny_addp(), torch.rand(2, 3, 64, 64)
    encoder = probed_encoder(model)
    assert encoder.layers == ['block_1', 'block_2']
    features = encoder.features(images, None, None, ['block_2'])['block_2']
    torch.testing.assert_close(features, model.encode(images)[:, 1:].mean(1))


def test_maps_and_tokens_are_averaged_over_places():
    maps = torch.arange(24.0).view(1, 2, 3, 4)
    expected = torch.tensor([[5.5, 17.5]])
    assert torch.equal(average(maps), expected)
    assert torch.equal(average(maps.flatten(2).transpose(1, 2)), expected)


def test_a_checkpoint_of_the_pretraining_fills_the_encoder(tmp_path):
    for build, images in (
        (lambda seed: tiny_ddae(ddae(), seed), random_images()),
        (lambda seed: tiny_darl(seed), darl_images(tiny_darl())),
        (lambda seed: tiny_addp(seed), torch.rand(2, 3, 64, 64)),
    ):
        trained, encoder = build(1), probed_encoder(build(2))
        path = tmp_path / f'{encoder.method}.pth'
        torch.save(dict(state_dict=trained.state_dict()), path)
        level, noise = (5, torch.zeros_like(images)) if encoder.num_levels else (None, None)
        wanted = probed_encoder(trained).features(images, level, noise, encoder.layers)
        encoder.load(path)
        features = encoder.features(images, level, noise, encoder.layers)
        for layer in encoder.layers:
            torch.testing.assert_close(features[layer], wanted[layer])


@pytest.mark.parametrize(
    ('layers', 'level', 'words'),
    [
        (['out_9'], 1, 'out_9: this DDAE has out_1, out_2, out_3, out_4'),
        (['out_1'], 1001, 'noise level 1001: this DDAE has the levels 1 to 1000'),
        (['out_1'], None, 'noise level None: this DDAE has the levels 1 to 1000'),
    ],
)
def test_what_does_not_exist_is_named(layers, level, words):
    encoder = probed_encoder(tiny_ddae(ddae()))
    with pytest.raises(UserError, match=words):
        encoder.features(random_images(), level, None, layers)


def test_what_cannot_be_probed_is_refused():
    with pytest.raises(UserError, match='ADDP takes clean images'):
        probed_encoder(tiny_addp()).check(['block_1'], 3)
    with pytest.raises(UserError, match='DDAEUNet is not probed'):
        probed_encoder(MODELS.build(UNET))
