"""Models to generate with, out of configs and checkpoints."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny_generation import model_settings, tiny_generator

from mmaddp.apis import load_pretrainer
from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def model():
    return tiny_generator()


@pytest.fixture
def trained(model, tmp_path):
    """A training checkpoint, which has no frozen part."""
    path = tmp_path / 'epoch_1.pth'
    torch.save({'meta': {'epoch': 1}, 'state_dict': model.state_dict()}, path)
    return path


@pytest.fixture
def whole(model, tmp_path):
    path = tmp_path / 'whole.pth'
    torch.save({**model.state_dict(), **model.frozen_state()}, path)
    return path


def config(**settings):
    return Config(dict(default_scope='mmaddp', model=model_settings(**settings)))


def with_source(path):
    tokenizer = model_settings()['tokenizer']
    return config(tokenizer=dict(tokenizer, init_cfg=dict(type='Pretrained', checkpoint=str(path))))


def assert_same(one, other):
    states = [{**model.state_dict(), **model.frozen_state()} for model in (one, other)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_file_of_all_parts(model, whole):
    loaded = load_pretrainer(config(), whole, 'cpu')
    assert_same(loaded, model)
    assert not loaded.training


def test_a_config_file_with_the_tokenizer_named_in_it(model, trained, whole, tmp_path):
    with_source(whole).dump(tmp_path / 'config.py')
    assert_same(load_pretrainer(tmp_path / 'config.py', trained, 'cpu'), model)


def test_the_checkpoint_comes_before_the_config(model, whole, tmp_path):
    assert_same(load_pretrainer(with_source(tmp_path / 'absent.pth'), whole, 'cpu'), model)


def test_the_authors_file_predicts_what_their_code_does(shared, reference_layout, tmp_path):
    """Generation's first prediction, from nothing but masks."""
    published = {'model': reference_layout('addp-tiny'), 'epoch': 1599}
    torch.save(published, tmp_path / 'published.pth')
    arch = dict(embed_dims=64, num_layers=2, num_heads=4)
    settings = config(
        encoder=dict(type='mmaddp.ADDPViT', arch=arch),
        decoder=dict(type='mmaddp.ADDPDecoder', **arch),
        tokenizer=dict(type='mmaddp.VQGAN', base_channels=32),
    )
    loaded = load_pretrainer(settings, tmp_path / 'published.pth', 'cpu')
    golden = np.load(shared / 'reference/golden/addp_tiny.npz')['logits_all_masked']
    with torch.no_grad():
        logits = loaded.decode(None, torch.zeros(1, 256).long(), torch.ones(1, 256).bool())
    assert np.allclose(logits[..., :1024], golden, atol=1e-4 * np.abs(golden).max())


def test_a_part_that_nothing_fills(trained):
    with pytest.raises(UserError, match=r'epoch_1.pth: .* tokenizer: set model.tokenizer.init_cfg'):
        load_pretrainer(config(), trained, 'cpu')


def test_a_predictor_that_nothing_fills_may_be_left_out(model, whole):
    arch = dict(embed_dims=16, num_layers=1, num_heads=2)
    predictor = dict(
        type='mmaddp.MAGE', encoder=arch, decoder=arch, num_patches=16, num_embeddings=32
    )
    with pytest.raises(UserError, match=r'or model.token_predictor=None'):
        load_pretrainer(config(token_predictor=predictor), whole, 'cpu')


def test_a_checkpoint_of_another_size(whole):
    arch = dict(embed_dims=32, num_layers=2, num_heads=2)
    encoder = dict(type='mmaddp.ADDPViT', arch=arch, img_size=64)
    decoder = dict(model_settings()['decoder'], in_channels=32)
    with pytest.raises(UserError, match=r'whole.pth: .*wrong shape: '):
        load_pretrainer(config(encoder=encoder, decoder=decoder), whole, 'cpu')


def test_a_tokenizer_of_another_size(whole):
    tokenizer = dict(model_settings()['tokenizer'], base_channels=64)
    with pytest.raises(UserError, match=r'whole.pth: .*wrong shape: '):
        load_pretrainer(config(tokenizer=tokenizer), whole, 'cpu')


def test_a_config_of_something_else(trained):
    settings = Config(dict(default_scope='mmaddp', model=dict(type='mmaddp.VQGAN')))
    with pytest.raises(UserError, match=r'model.type=mmaddp.VQGAN does not generate'):
        load_pretrainer(settings, trained, 'cpu')
