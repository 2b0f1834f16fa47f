"""DDAE trains by both processes, generates, and gives features of noised images."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from tiny_ddae import DDPM, EDM, SIDE, augmented, ddae, random_images, tiny_ddae
from torch.nn import functional as F

from mmaddp.diffusion import AncestralSampler, DDIMSampler, HeunSampler, ImageNoise
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

CONFIGS = {'ddpm': ddae(), 'edm': ddae(process=EDM), 'edm-augmented': augmented()}
of_all = pytest.mark.parametrize('config', CONFIGS.values(), ids=CONFIGS)


@of_all
def test_a_step_of_training(config):
    """Everything that is to learn gets a gradient, which DistributedDataParallel insists on."""
    model = tiny_ddae(config).train()
    images = random_images(8)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    torch.manual_seed(0)
    loss = model(images, mode='loss')['loss']
    loss.backward()
    without = [
        name for name, one in model.named_parameters() if one.grad is None or not one.grad.any()
    ]
    # A bias in front of a norm of groups as large as channels, and that of the keys, does nothing.
    assert not [name for name in without if not name.endswith('bias')]
    assert all(one.grad is not None for one in model.parameters())
    optimizer.step()
    torch.manual_seed(0)
    assert model(images, mode='loss')['loss'] < loss


@pytest.mark.parametrize('process', [DDPM, EDM], ids=['ddpm', 'edm'])
def test_learns_an_image_by_heart(process):
    model = tiny_ddae(ddae(process=process)).train()
    image = torch.linspace(-0.8, 0.8, SIDE).expand(1, 3, SIDE, SIDE)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        loss = model(image.expand(8, -1, -1, -1), mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@of_all
def test_the_optimizer_takes_a_batch_of_the_loader(config):
    model = tiny_ddae(config).train()
    images = [torch.randint(256, (3, SIDE, SIDE), dtype=torch.uint8) for _ in range(2)]
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-4))
    logged = model.train_step(dict(inputs=images), wrapper)
    assert logged['loss'].isfinite()


def test_pixels_are_brought_to_the_range_of_the_paper():
    model = tiny_ddae(ddae())
    blue = torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1).expand(3, SIDE, SIDE)
    images = model.data_preprocessor(dict(inputs=[blue]))['inputs']
    assert images[0, :, 0, 0].tolist() == [-1, -1, 1]
    assert model.to_unit_range(images)[0, :, 0, 0].tolist() == [0, 0, 1]


def test_losses_of_a_network_that_predicts_nothing():
    """Of unit variance is the noise in DDPM, and in EDM the target for images of 0.5."""
    torch.manual_seed(0)
    for config, images in [
        (ddae(), random_images(64)),
        (ddae(process=EDM), 0.5 * torch.randn(64, 3, SIDE, SIDE)),
    ]:
        model = tiny_ddae(config)
        model.network.conv_out.weight.data.zero_()
        model.network.conv_out.bias.data.zero_()
        assert model(images, mode='loss')['loss'].item() == pytest.approx(1, abs=0.05)


def test_the_network_is_told_of_the_augmentation(monkeypatch):
    model = tiny_ddae(augmented())
    seen, predict = [], model.network.predict

    def note(x, time, augment=None):
        seen.append(augment)
        return predict(x, time, augment)

    monkeypatch.setattr(model.network, 'predict', note)
    model(random_images(64), mode='loss')
    assert seen[0].shape == (64, 9)
    assert seen[0].any()
    assert not seen[0].all(1).any()
    model.sample(ImageNoise(0, [0]), HeunSampler(2))
    assert seen[1:] == [None] * 3


def test_labels_fit_the_moved_images():
    """Images that are not labeled are as they were."""
    model = tiny_ddae(augmented())
    torch.manual_seed(0)
    images = random_images(32)
    moved, labels = model.augment(images)
    still = ~labels.any(1)
    assert 0 < still.sum() < 32
    assert torch.equal(moved[still], images[still])
    assert (moved[~still] != images[~still]).flatten(1).any(1).all()


@of_all
def test_features_of_a_numbered_level(config):
    """Level 11 of DDPM is t = 11, of EDM the eleventh sigma from below."""
    model = tiny_ddae(config)
    images, noise = random_images(), torch.randn(2, 3, SIDE, SIDE)
    if config['process'] is DDPM:
        alpha_bar = math.prod(1 - (1e-4 + (0.02 - 1e-4) * i / 999) for i in range(11))
        x = alpha_bar**0.5 * images + (1 - alpha_bar) ** 0.5 * noise
        time = 11 / 1000
    else:
        steps = [80 ** (1 / 7), 0.002 ** (1 / 7)]
        sigma = (steps[0] + 7 / 17 * (steps[1] - steps[0])) ** 7
        x = (images + sigma * noise) / (sigma**2 + 0.25) ** 0.5
        time = math.log(sigma) / 4
    expected = model.network.block_features(x, torch.full((2,), time))
    features = model.forward_intermediates(images, level=11, noise=noise)
    assert list(features) == ['out_1', 'out_2', 'out_3', 'out_4']
    for name, feature in features.items():
        torch.testing.assert_close(feature, expected[name], rtol=1e-4, atol=1e-4)


def test_features_draw_noise_of_their_own():
    model = tiny_ddae(ddae())
    images = random_images()
    one, other = (model.forward_intermediates(images, ['out_1'], 500)['out_1'] for _ in range(2))
    assert not torch.allclose(one, other)


def test_a_level_that_there_is_not():
    model = tiny_ddae(ddae(process=dict(DDPM, num_timesteps=64)))
    with pytest.raises(UserError, match='noise level 65: DDPM has the levels 1 to 64'):
        model.forward_intermediates(random_images(), level=65)


@pytest.mark.parametrize(
    ('config', 'sampler'),
    [
        (ddae(process=dict(DDPM, num_timesteps=8)), AncestralSampler()),
        (ddae(), DDIMSampler(4)),
        (augmented(), HeunSampler(3, S_churn=40.0)),
    ],
)
def test_an_image_depends_on_its_seed_and_number_alone(config, sampler):
    model = tiny_ddae(config)
    both = model.sample(ImageNoise(3, [0, 7]), sampler)
    assert both.shape == (2, 3, SIDE, SIDE)
    torch.testing.assert_close(model.sample(ImageNoise(3, [7]), sampler), both[1:])
    assert not torch.allclose(model.sample(ImageNoise(4, [0]), sampler), both[:1])


@of_all
def test_forward_denoises_images(config):
    model = tiny_ddae(config)
    images = random_images()
    expected = model.denoise(images, 1 if config['process'] is DDPM else 0.002)
    torch.testing.assert_close(model(images), expected)
    # So little noise hardly changes an image, whatever a network makes of it.
    assert F.l1_loss(expected, images) < 0.05


def test_mixed_precision():
    model = tiny_ddae(augmented())
    images, losses = random_images(8), []
    for enabled in (True, False):
        torch.manual_seed(0)
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            losses.append(model(images, mode='loss')['loss'])
    assert losses[0].dtype == torch.float32
    torch.testing.assert_close(losses[0], losses[1], rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (ddae(augment=0.12), 'network.augment_dim=0: must be 9 with augment=0.12'),
        (ddae(dict(augment_dim=9)), 'network.augment_dim=9: must be 0 with augment=None'),
        (augmented() | dict(augment=2), 'augment=2: must be in [0, 1]'),
        (
            ddae(process=dict(type='mmengine.BaseDataPreprocessor')),
            'is not in the mmaddp::task util registry',
        ),
    ],
)
def test_refusals_in_one_line(config, message):
    with pytest.raises((ValueError, KeyError)) as caught:
        MODELS.build(config)
    line = str(caught.value)
    assert message in line, line
    assert '\n' not in line
