"""Frozen parts take any file that holds them, or say what to set."""

import pytest
import torch
from test_checkpoints.layouts import mage_shapes, published, random_weights
from tiny_addp import ARCH, SIZES, addp, tiny_addp

from mmaddp.checkpoints import convert, convert_checkpoint
from mmaddp.models import MAGE, VQGAN, ADDPDecoder
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

MAGE_SIZES = dict(embed_dims=32, num_layers=2, num_heads=2)


@pytest.fixture(scope='module')
def model():
    return tiny_addp(seed=5)


@pytest.fixture
def official(model, tmp_path):
    """The model in the authors' layout."""
    ours = {**model.state_dict(), **model.frozen_state()}
    torch.save({'model': convert_checkpoint(ours, target='official')}, tmp_path / 'addp.pth')
    return tmp_path / 'addp.pth'


def pretrained(path):
    return dict(type='Pretrained', checkpoint=str(path))


def same(left, right):
    pairs = zip(left.state_dict().items(), right.state_dict().items())
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_every_part_of_a_model_is_filled_by_its_init_cfg(model, official):
    config = addp()
    for part in ('encoder', 'decoder', 'tokenizer', 'token_predictor'):
        config[part] = dict(config[part], init_cfg=pretrained(official))
    filled = MODELS.build(config)
    filled.init_weights()
    for part in ('encoder', 'decoder', 'tokenizer', 'token_predictor'):
        assert same(filled.get_submodule(part), model.get_submodule(part)), part
    assert torch.equal(filled.encoder.embed_norm.weight, model.encoder.embed_norm.weight)


def test_an_own_training_checkpoint_fills_encoder_and_decoder(model, tmp_path):
    torch.save({'meta': {}, 'state_dict': model.state_dict()}, tmp_path / 'epoch_1.pth')
    config = addp()
    for part in ('encoder', 'decoder'):
        config[part] = dict(config[part], init_cfg=pretrained(tmp_path / 'epoch_1.pth'))
    filled = MODELS.build(config)
    filled.init_weights()
    assert same(filled.encoder, model.encoder)
    assert same(filled.decoder, model.decoder)
    assert not same(filled.token_predictor, model.token_predictor)


def test_a_part_without_init_cfg_is_sampled():
    """Biases zero, embeddings and positions of deviation 0.02, linear layers Xavier-uniform."""
    torch.manual_seed(0)
    decoder = ADDPDecoder(64, 1, 2, num_patches=64)
    decoder.init_weights()
    assert not decoder.blocks[0].attn.qkv.bias.any()
    assert decoder.pixel_pos_embed.std().item() == pytest.approx(0.02, rel=0.1)
    assert decoder.token_embed.weight.std().item() == pytest.approx(0.02, rel=0.1)
    limit = (6 / (64 + 192)) ** 0.5
    assert decoder.blocks[0].attn.qkv.weight.abs().max().item() == pytest.approx(limit, rel=0.02)


MISFITS = {
    'tokenizer': (
        lambda: VQGAN(64, embed_dims=16, num_embeddings=64),
        'holds VQGAN with base_channels=32, num_embeddings=32, the config builds '
        'base_channels=64, num_embeddings=64: set base_channels=32, num_embeddings=32',
    ),
    'token_predictor': (
        lambda: MAGE(dict(ARCH, num_layers=3), ARCH, **SIZES),
        r'set encoder=dict\(embed_dims=16, num_layers=2, num_heads=…\)',
    ),
    'decoder': (
        lambda: ADDPDecoder(**dict(ARCH, mlp_ratio=2.0), **SIZES, token_input=False),
        'set mlp_ratio=4.0, token_input=True',
    ),
}


@pytest.mark.parametrize('part', MISFITS)
def test_a_part_of_another_size_says_what_to_set_and_loads_nothing(official, part):
    build, message = MISFITS[part]
    module = build()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(UserError, match=message) as error:
        module.load(official)
    assert str(error.value).startswith(f'{official}: ')
    assert '\n' not in str(error.value)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_positions_and_codes_are_told(tmp_path):
    torch.save({'model': random_weights(mage_shapes(codes=40))}, tmp_path / 'mage.pth')
    module = MAGE(MAGE_SIZES, dict(MAGE_SIZES, num_layers=1), num_patches=64, num_embeddings=32)
    with pytest.raises(UserError, match=r'set num_patches=16, num_embeddings=40'):
        module.load(tmp_path / 'mage.pth')


def test_the_released_sizes_are_called_by_name(shared, monkeypatch):
    tensors = published('mage-vitl-1600', shared)
    monkeypatch.setattr(convert, 'read_checkpoint', lambda path: {'model': tensors})
    with torch.device('meta'):
        module = MAGE('base')
    message = "encoder='large', the config builds encoder='base': set encoder='large'"
    with pytest.raises(UserError, match=message):
        module.load('mage-vitl-1600.pth')
