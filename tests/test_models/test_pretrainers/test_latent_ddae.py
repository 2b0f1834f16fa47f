"""DDAE over latents: what the network is given and asked for, and what comes back as images."""

import math

import pytest
import torch
from tiny_ddae import UNET
from tiny_latents import DIT, FROM_ZERO, SIDE, build_latent, latent_ddae, random_rgb_images
from torch.nn import functional as F

from mmaddp.diffusion import DDPM, EDM, DDIMSampler, HeunSampler, ImageNoise
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

EDM_CONFIG = dict(type='mmaddp.EDM', num_steps=4)


def watch(monkeypatch, model):
    """The inputs of every call of the network."""
    seen, predict = [], model.network.predict

    def note(x, time):
        seen.append((x, time))
        return predict(x, time)

    monkeypatch.setattr(model.network, 'predict', note)
    return seen


def test_the_time_counts_from_zero():
    """t = 1 .. T, which DiT calls 0 .. T - 1; the noise of a level is the same in both counts."""
    process = DDPM(num_timesteps=1000, time_input='index')
    assert process.time(process.level(122)).item() == 121
    assert process.time(torch.tensor([1, 1000])).tolist() == [0, 999]
    assert torch.equal(process.alpha_bars, DDPM().alpha_bars)
    with pytest.raises(UserError, match="time_input='steps' is none of 'fraction', 'index'"):
        DDPM(time_input='steps')


def test_the_loss_is_of_noised_latents(monkeypatch):
    """The half of the prediction for the variance does not enter it."""
    model = build_latent(latent_ddae())
    seen, images = watch(monkeypatch, model), random_rgb_images(3)
    torch.manual_seed(0)
    loss = model(images, mode='loss')['loss']
    torch.manual_seed(0)
    latents = model.autoencoder.encode(images)
    level = torch.randint(1, 9, (3,))
    noise = torch.randn_like(latents)
    betas = torch.linspace(1e-4, 0.02, 8, dtype=torch.float64)
    alpha_bar = (1 - betas).cumprod(0)[level - 1].float().view(3, 1, 1, 1)
    x_t = alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * noise
    torch.testing.assert_close(seen[0][0], x_t)
    assert seen[0][1].tolist() == (level - 1).tolist()
    outputs = model.network.predict(x_t, level - 1)
    assert outputs.shape == (3, 8, 8, 8)
    torch.testing.assert_close(loss, F.mse_loss(outputs[:, :4], noise))


def test_all_that_learns_gets_a_gradient():
    model = build_latent(latent_ddae(dict(learn_sigma=False))).train()
    model(random_rgb_images(8), mode='loss')['loss'].backward()
    assert all(one.grad is not None for one in model.parameters())


def test_features_are_of_noised_latents():
    model = build_latent(latent_ddae())
    images, noise = random_rgb_images(), torch.randn(2, 4, 8, 8)
    x_0 = model.encoder_inputs(images)
    features = model.forward_intermediates(x_0, level=3, noise=noise)
    alpha_bar = math.prod(1 - (1e-4 + (0.02 - 1e-4) * i / 7) for i in range(3))
    x = alpha_bar**0.5 * model.autoencoder.encode(images) + (1 - alpha_bar) ** 0.5 * noise
    expected = model.network.forward_intermediates(x, time=torch.tensor([2, 2]))
    assert list(features) == ['layer-0', 'layer-1', 'layer-2']
    for name, feature in features.items():
        assert feature.shape == (2, 32, 4, 4)
        torch.testing.assert_close(feature, expected[name])


def test_features_of_some_blocks_end_behind_the_last():
    model = build_latent(latent_ddae())
    images, noise = random_rgb_images(), torch.randn(2, 4, 8, 8)
    x_0 = model.encoder_inputs(images)
    expected = model.forward_intermediates(x_0, None, 3, noise)['layer-1']
    model.network.blocks[2] = None
    features = model.forward_intermediates(x_0, ['layer-1'], 3, noise)
    assert list(features) == ['layer-1']
    torch.testing.assert_close(features['layer-1'], expected)
    with pytest.raises(ValueError, match='layers layer-7: the network has layer-0, layer-1'):
        model.forward_intermediates(x_0, ['layer-7'], 3, noise)


@pytest.mark.parametrize('process', [FROM_ZERO, EDM_CONFIG])
@pytest.mark.parametrize(
    'network', [DIT, dict(UNET, in_channels=4)], ids=['transformer', 'convolutions']
)
def test_generation_gives_decoded_latents(process, network):
    """They are not cut off at 1, the end of the range of pixels."""
    model = build_latent(dict(latent_ddae(process=process), network=network))
    images = model.sample(ImageNoise(0, [4, 1]))
    assert images.shape == (2, 3, SIDE, SIDE)
    sampler = DDIMSampler(8, clip=False) if process is FROM_ZERO else HeunSampler(4, clip=False)
    noise = ImageNoise(0, [4, 1])
    latents = sampler.sample(model.process, model.predict, model.like(noise), noise)
    torch.testing.assert_close(images, (model.autoencoder.decode(latents) + 1) / 2)
    assert latents.abs().max() > 1
    torch.testing.assert_close(model.sample(ImageNoise(0, [1])), images[1:], rtol=1e-3, atol=1e-3)


def test_forward_denoises_images():
    model = build_latent(latent_ddae(process=EDM_CONFIG))
    images = random_rgb_images()
    assert model(images).shape == images.shape
    # Least noise leaves the latents nearly as they are, whose decoding is known.
    expected = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2)
    torch.testing.assert_close(model(images), expected, rtol=0, atol=0.02)
    assert EDM().sigma_min == 0.002


def test_clipped_latents_are_refused():
    with pytest.raises(UserError, match=r'clip=True: latents are not bounded .* set clip=False'):
        build_latent(latent_ddae()).sample(ImageNoise(0, [0]), DDIMSampler(2))


def test_a_size_without_latents():
    model = build_latent(latent_ddae(img_size=15))
    with pytest.raises(UserError, match='images of 15 x 15 pixels: the model takes multiples of 2'):
        model.sample(ImageNoise(0, [0]))


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (
            latent_ddae(autoencoder=None),
            'network.in_channels=4: a latent model sees images through an autoencoder: set '
            "autoencoder=dict(type='mmaddp.KLAutoencoder', …)",
        ),
        (
            latent_ddae(process=dict(type='mmaddp.DDPM')),
            "process.time_input='fraction': DDAEDiT counts timesteps from 0: set it to 'index'",
        ),
        (latent_ddae(augment=0.12), 'augment: transforms images, but the network sees latents'),
    ],
)
def test_refusals_in_one_line(config, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        MODELS.build(config)
    line = str(caught.value)
    assert message in line, line
    assert '\n' not in line


def test_with_stable_diffusions_autoencoder(tmp_path):
    diffusers = pytest.importorskip('diffusers')
    torch.manual_seed(0)
    network = diffusers.AutoencoderKL(
        down_block_types=('DownEncoderBlock2D',) * 2,
        up_block_types=('UpDecoderBlock2D',) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
    ).eval()
    network.save_pretrained(tmp_path)
    folder = dict(type='mmaddp.KLAutoencoder', folder=str(tmp_path))
    model = build_latent(latent_ddae(autoencoder=folder))
    images = random_rgb_images()
    with torch.no_grad():
        latents = 0.18215 * network.encode(images).latent_dist.mean
    torch.testing.assert_close(model.encode(images), latents)
    assert model.sample(ImageNoise(0, [0])).shape == (1, 3, SIDE, SIDE)
    assert all(name.startswith('network.') for name in model.state_dict())
