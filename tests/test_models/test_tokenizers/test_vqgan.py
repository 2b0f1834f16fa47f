import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmaddp.models import VQGAN
from mmaddp.models.tokenizers.vqgan_layers import ResidualBlock, Upsample
from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def golden(shared):
    return np.load(shared / 'reference/golden/addp_tiny.npz')


@pytest.fixture(scope='module')
def reference(reference_layout):
    prefix = 'token_predictor.vqgan.'
    layout = reference_layout('addp-tiny').items()
    model = VQGAN(base_channels=32)
    model.load_state_dict({k[len(prefix) :]: v for k, v in layout if k.startswith(prefix)})
    return model.eval()


def test_token_ids_are_the_reference_s(reference, golden):
    with torch.no_grad():
        ids = reference.encode(torch.from_numpy(golden['image_uint8']).float() / 255)
    assert torch.equal(ids, torch.from_numpy(golden['token_ids']).long())


def test_decoded_images_are_the_reference_s(reference, golden):
    ids = torch.from_numpy(golden['token_ids']).long()
    with torch.no_grad():
        images = reference.decode(reference.embed(ids[:1]))
    np.testing.assert_allclose(images, golden['decoded_ids'], atol=2e-4)


def test_the_released_layout_is_the_default_one(reference_layout):
    with torch.device('meta'):
        model = VQGAN()
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    layout = reference_layout('vqgan_jax_strongaug')
    assert shapes == {name: tuple(tensor.shape) for name, tensor in layout.items()}


def test_sides_need_not_be_equal_but_multiples_of_sixteen():
    model = VQGAN(base_channels=32, embed_dims=8, num_embeddings=16).eval()
    ids = model.encode(torch.rand(1, 3, 32, 48))
    assert ids.shape == (1, 6)
    assert model.decode(model.embed(ids), grid=(2, 3)).shape == (1, 3, 32, 48)
    with pytest.raises(UserError, match=r'40 x 48 pixels: .* multiples of 16'):
        model.encode(torch.rand(1, 3, 40, 48))


def test_four_levels_make_tokens_of_8_x_8_pixels():
    settings = dict(
        base_channels=8, embed_dims=4, num_embeddings=16, channel_multipliers=(1, 2, 2, 4)
    )
    model = VQGAN(**settings, norm_groups=4).eval()
    ids = model.encode(torch.rand(1, 3, 32, 48))
    assert ids.shape == (1, 24)
    assert model.decode(model.embed(ids), grid=(4, 6)).shape == (1, 3, 32, 48)
    assert VQGAN.settings_from(model.state_dict()) == {**settings, 'norm_groups': 4}


def test_the_nearest_code_is_chosen():
    model = VQGAN(base_channels=32, embed_dims=8, num_embeddings=64)
    features = torch.randn(2, 5, 8)
    distances = torch.cdist(features, model.codebook[None].expand(2, -1, -1))
    assert torch.equal(model.quantize(features), distances.argmin(-1))


def test_codes_are_their_own_tokens():
    model = VQGAN(base_channels=32, embed_dims=8, num_embeddings=64)
    ids = torch.arange(64).view(1, 64)
    assert torch.equal(model.quantize(model.embed(ids)), ids)


@pytest.mark.parametrize('out_channels', [8, 12])
def test_a_residual_block_leaves_its_input(out_channels):
    torch.manual_seed(0)
    block = ResidualBlock(8, out_channels, groups=4)
    x = torch.randn(2, 8, 5, 6, requires_grad=True)
    before = x.detach().clone()
    branch = block.conv1(F.silu(block.norm1(x)))
    branch = block.conv2(F.silu(block.norm2(branch)))
    expected = branch + (x if out_channels == 8 else block.nin_shortcut(branch))
    results = expected, block(x)
    torch.testing.assert_close(*results)
    torch.testing.assert_close(*(torch.autograd.grad(y.square().sum(), x)[0] for y in results))
    assert x.equal(before)


def test_upsampling_is_nearest_neighbors_and_a_convolution():
    upsample = Upsample(8).double()
    x = torch.randn(2, 8, 5, 3, dtype=torch.double)
    expected = upsample.conv(F.interpolate(x, scale_factor=2, mode='nearest'))
    torch.testing.assert_close(upsample(x), expected, rtol=1e-10, atol=1e-10)
