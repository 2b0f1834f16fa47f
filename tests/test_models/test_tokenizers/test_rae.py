"""The autoencoder on features equals that of diffusers."""

import pytest
import torch
from tiny_diffusers import randomize

from mmaddp.models import Encoder, RepresentationAutoencoder

diffusers = pytest.importorskip('diffusers')
pytest.importorskip('transformers')
if not hasattr(diffusers, 'AutoencoderRAE'):
    pytest.skip('this version of diffusers has no AutoencoderRAE', allow_module_level=True)

CHANNELS = 64
RAE = dict(
    encoder_hidden_size=CHANNELS,
    encoder_num_hidden_layers=1,
    decoder_hidden_size=16,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=16,
    patch_size=16,
    scaling_factor=2.0,
)
# The sides of the encoder's patches and images: 4 x 4 latents.
KINDS = dict(dinov2=(14, 56), mae=(16, 64))


def save_rae(folder, kind):
    torch.manual_seed(0)
    patch, side = KINDS[kind]
    statistics = dict(
        latents_mean=torch.randn(CHANNELS, 4, 4), latents_std=torch.rand(CHANNELS, 4, 4) + 0.5
    )
    network = diffusers.AutoencoderRAE(
        encoder_type=kind, encoder_patch_size=patch, encoder_input_size=side, **RAE, **statistics
    )
    randomize(network).save_pretrained(folder)
    return network


@pytest.mark.parametrize('kind', KINDS)
@torch.no_grad()
def test_latents_and_images_are_the_librarys(tmp_path, kind):
    network = save_rae(tmp_path, kind)
    ours = RepresentationAutoencoder(str(tmp_path), scale=2.0)
    images = 2 * torch.rand(2, 3, 64, 64) - 1
    # The library takes images in [0, 1].
    latents = network.encode((images + 1) / 2).latent
    assert ours.stride == 16
    torch.testing.assert_close(ours.encode(images), latents, atol=1e-5, rtol=1e-5)
    expected = 2 * network.decode(latents).sample - 1
    torch.testing.assert_close(ours.decode(latents), expected, atol=1e-5, rtol=1e-5)
    # Other sizes keep the stride, where the library would squeeze them into its square.
    assert ours.encode(torch.zeros(1, 3, 32, 96)).shape == (1, CHANNELS, 2, 6)


@torch.no_grad()
def test_autocast_leaves_it_in_full_precision(tmp_path):
    network = save_rae(tmp_path, 'dinov2')
    ours = RepresentationAutoencoder(str(tmp_path), scale=2.0)
    images = 2 * torch.rand(1, 3, 64, 64) - 1
    expected = network.encode((images + 1) / 2).latent
    decoded = 2 * network.decode(expected).sample - 1
    with torch.autocast('cpu', torch.bfloat16):
        latents, rebuilt = ours.encode(images), ours.decode(expected)
    torch.testing.assert_close(latents, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rebuilt, decoded, atol=1e-5, rtol=1e-5)


def test_a_transformer_takes_its_latents(tmp_path):
    save_rae(tmp_path / 'vae', 'dinov2')
    dit = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        sample_size=4,
        patch_size=1,
        num_embeds_ada_norm=5,
    )
    dit.save_pretrained(tmp_path / 'transformer')
    (tmp_path / 'model_index.json').write_text('{}')
    encoder = Encoder(f'diffusers:{tmp_path}', time=0).eval()
    encoder.init_weights()
    with torch.no_grad():
        assert encoder(torch.zeros(1, 3, 30, 70))[0].shape == (1, 16, 2, 5)
    assert encoder.stride('block_2') == 16
