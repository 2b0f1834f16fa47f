"""Trainings with low-rank adapters: their checkpoints, resumption and merging."""

import copy

import pytest
import torch
from tiny_runs import (
    assert_same_training,
    classifier,
    last_checkpoint,
    run_training,
    write_images,
)

from mmaddp.apis import merge
from mmaddp.apis.exporting import load_merged
from mmaddp.models import ADDPViT
from mmaddp.utils import UserError


@pytest.fixture
def make(tmp_path):
    images = write_images(tmp_path / 'images', per_class=2)
    encoder = ADDPViT(dict(embed_dims=8, num_layers=2, num_heads=2), img_size=16, patch_size=8)
    encoder.init_weights()
    torch.save({'state_dict': encoder.state_dict()}, tmp_path / 'base.pth')

    def config(name, **settings):
        tuned = {
            'model.backbone.lora': dict(rank=2),
            'model.backbone.init_cfg': dict(
                type='Pretrained', checkpoint=str(tmp_path / 'base.pth')
            ),
        }
        return classifier(images, tmp_path / name, **{**tuned, **settings})

    return config


def test_adapters_train_resume_and_merge(tmp_path, make):
    run_training(make('whole'))
    run_training(make('parts', **{'train_cfg.max_epochs': 2}))
    run_training(make('parts'), resume=True)
    assert_same_training(tmp_path / 'whole', tmp_path / 'parts')
    state = last_checkpoint(tmp_path / 'whole')['state_dict']
    adapters = {name for name in state if '.lora_A' in name or '.lora_B' in name}
    assert len(adapters) == 2 * 2 * 2  # blocks, projections, matrices
    assert set(state) - adapters == {
        'backbone.lora_base',
        'backbone.lora_scale',
        'head.fc.weight',
        'head.fc.bias',
    }
    assert any(state[name].any() for name in adapters if 'lora_B' in name)

    config, path = make('whole'), (tmp_path / 'whole/last_checkpoint').read_text()
    merged = merge(config, path, tmp_path / 'merged.pth')
    plain = make('plain', **{'model.backbone.lora': None, 'model.backbone.init_cfg': None})
    models = [load_merged(*pair)[0].eval() for pair in ((config, path), (plain, merged))]
    images = torch.randn(2, 3, 16, 16)
    one, other = (model(images, mode='tensor') for model in models)
    torch.testing.assert_close(one, other)
    base = torch.load(tmp_path / 'base.pth')['state_dict']['blocks.0.attn.qkv.weight']
    assert not torch.equal(models[1].backbone.blocks[0].attn.qkv.weight, base)
    told = torch.load(merged, weights_only=False)['meta']
    assert told['epoch'] == 3
    assert 'rank' not in told['cfg']
    with pytest.raises(UserError, match=r'model\.backbone has no lora'):
        merge(plain, merged, tmp_path / 'again.pth')


def test_a_whole_checkpoint_is_no_start_for_adapters(tmp_path, make):
    model, _ = load_merged_start(make)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'detector.pth')
    config = copy.deepcopy(make('from'))
    config.load_from = str(tmp_path / 'detector.pth')
    with pytest.raises(UserError, match=r'name the file in model\.backbone\.init_cfg'):
        run_training(config)


def load_merged_start(make):
    """A model without adapters, whole."""
    from mmaddp.apis.exporting import build_model

    plain = make('plain', **{'model.backbone.lora': None})
    return build_model(plain), plain
