"""The frozen autoencoder: what diffusers computes, or one line that says what is missing."""

import pytest
import torch

from mmaddp.models import KLAutoencoder
from mmaddp.utils import UserError


def message(call, *inputs):
    with pytest.raises(UserError) as error:
        call(*inputs)
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A small network of the same build as Stable Diffusion's."""
    diffusers = pytest.importorskip('diffusers')
    torch.manual_seed(0)
    network = diffusers.AutoencoderKL(
        down_block_types=('DownEncoderBlock2D',) * 4,
        up_block_types=('UpDecoderBlock2D',) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
    )
    path = tmp_path_factory.mktemp('autoencoder')
    network.save_pretrained(path)
    return path, network.eval()


@torch.no_grad()
def test_latents_are_the_scaled_means_of_the_posterior(folder):
    path, network = folder
    autoencoder, images = KLAutoencoder(str(path)), torch.rand(2, 3, 32, 48) * 2 - 1
    latents = autoencoder.encode(images)
    assert autoencoder.stride == 8
    assert latents.shape == (2, 4, 4, 6)
    posterior = network.encode(images).latent_dist
    torch.testing.assert_close(latents, 0.18215 * posterior.mean)
    torch.testing.assert_close(autoencoder.decode(latents), network.decode(posterior.mean).sample)


@torch.no_grad()
def test_sampled_latents_have_the_std_of_the_posterior(folder):
    path, network = folder
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    torch.manual_seed(0)
    drawn = KLAutoencoder(str(path), sample=True).encode(image.expand(1000, -1, -1, -1))
    posterior = network.encode(image).latent_dist
    ratio = drawn.std(0) / (0.18215 * posterior.std[0])
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0.1, atol=0)


@torch.no_grad()
def test_autocast_leaves_it_in_full_precision(folder):
    path, network = folder
    autoencoder, images = KLAutoencoder(str(path)), torch.rand(1, 3, 16, 16) * 2 - 1
    expected = 0.18215 * network.encode(images).latent_dist.mean
    decoded = network.decode(expected / 0.18215).sample
    with torch.autocast('cpu', torch.bfloat16):
        latents, rebuilt = autoencoder.encode(images), autoencoder.decode(expected)
    torch.testing.assert_close(latents, expected)
    torch.testing.assert_close(rebuilt, decoded)


def test_nothing_of_it_is_trained_or_saved(folder):
    autoencoder = KLAutoencoder(str(folder[0])).train()
    images = torch.rand(1, 3, 16, 16).requires_grad_()
    assert not autoencoder.encode(images).requires_grad
    assert not autoencoder.network[0].training
    assert not list(autoencoder.parameters())
    assert not autoencoder.state_dict()


def test_folders_that_hold_no_autoencoder_are_named(tmp_path):
    pytest.importorskip('diffusers')
    images = torch.zeros(1, 3, 8, 8)
    assert message(KLAutoencoder(str(tmp_path / 'no')).encode, images).startswith(
        f'{tmp_path}/no: no AutoencoderKL can be read'
    )
    (tmp_path / 'config.json').write_text('{"_class_name": "AutoencoderKL"}')
    assert 'no AutoencoderKL can be read' in message(KLAutoencoder(str(tmp_path)).encode, images)
