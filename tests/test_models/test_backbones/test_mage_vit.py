"""MAGE's encoder as a backbone: tokens in, maps out, weights of released files and of ours."""

import pytest
import torch
from tiny_scratch import TOKENIZER, mage_trainer

from mmaddp.registry import MODELS

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2)
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope='module')
def trainer():
    torch.manual_seed(0)
    model = MODELS.build(mage_trainer())
    model.init_weights()
    return model.eval()


@pytest.fixture(scope='module')
def files(trainer, tmp_path_factory):
    """The checkpoint of a training, and the file of its tokenizer."""
    folder = tmp_path_factory.mktemp('mage')
    torch.save(dict(state_dict=trainer.state_dict()), folder / 'mage.pth')
    torch.save(dict(state_dict=trainer.tokenizer.state_dict()), folder / 'vqgan.pth')
    return folder


def build(files=None, **settings):
    tokenizer, init_cfg = dict(TOKENIZER), None
    if files:
        tokenizer['init_cfg'] = dict(type='Pretrained', checkpoint=str(files / 'vqgan.pth'))
        init_cfg = dict(type='Pretrained', checkpoint=str(files / 'mage.pth'))
    config = dict(type='mmaddp.MAGEViT', tokenizer=tokenizer, arch=ARCH, img_size=64, **settings)
    model = MODELS.build(dict(config, init_cfg=init_cfg))
    model.init_weights()
    return model.eval()


@torch.no_grad()
def test_the_features_are_those_of_the_token_predictors_encoder(trainer, files):
    """models_vit_mage.py of the authors: no token is masked, the class entry is 1024 + 76."""
    predictor = trainer.token_predictor
    ids = trainer.tokenizer.encode(IMAGES)
    entries = torch.cat([torch.full((2, 1), 32 + 76), ids], dim=1)
    tokens = predictor.token_embed(entries)
    for block in predictor.blocks:
        tokens = block(tokens, (1, 17))
    torch.testing.assert_close(build(files).forward_tokens(IMAGES), predictor.norm(tokens))


@torch.no_grad()
def test_dense_tasks_drop_the_class_and_resize_positions(files):
    dense = dict(with_cls_token=False, final_norm=False, use_rel_pos=True, pretrain_img_size=64)
    dense.update(window_size=2, global_attn_indexes=(1,))
    model = build(files, **dense)
    (maps,) = model(torch.rand(1, 3, 90, 96))
    assert maps.shape == (1, 16, 6, 6)


def test_the_tokenizer_is_frozen_and_kept(files):
    model = build(files).train()
    assert not any(module.training for module in model.patch_embed.tokenizer.modules())
    assert model.embed_drop.p == 0.1  # models_vit_mage.py, line 88
    (maps,) = model(IMAGES)
    maps.sum().backward()
    without = {name.split('.')[1] for name, p in model.named_parameters() if p.grad is None}
    assert without == {'tokenizer'}
    assert any(name.startswith('patch_embed.tokenizer.') for name in model.state_dict())


def test_a_released_file_fills_it(shared, tmp_path):
    from test_checkpoints.layouts import published

    from mmaddp.checkpoints import convert_checkpoint

    tensors = convert_checkpoint({'model': published('mage-vitb-1600', shared)}, 'mage', 'backbone')
    assert tensors['patch_embed.word.weight'].shape == (2025, 768)
    assert tensors['pos_embed'].shape == (1, 257, 768)


def test_its_own_checkpoint_is_recognized(files, tmp_path):
    model = build(files)
    classifier = {f'backbone.{name}': tensor for name, tensor in model.state_dict().items()}
    torch.save(dict(state_dict=classifier), tmp_path / 'tuned.pth')
    other = build()
    other.load(tmp_path / 'tuned.pth')
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
