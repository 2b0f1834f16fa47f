"""DARL's small configs train, one after the other, on images in CIFAR-10's layout."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from tiny_runs import write_images

from mmaddp.engine.runs import train

PRETRAININGS = [
    'pretrain/darl/darl-{}_1xb64-3000i_cifar10-32px',
    'pretrain/darl/darl-{}_1xb64-3000i_image-folder-64px',
]
OBJECTIVES = ['mse_vit-toy', 'diff_vit-toy', 'diff_vit-toy_transformer-2-gamma']
CLASSIFIER = 'cls/darl/darl-mse_vit-toy_1xb64-20e_cifar10-32px'
ALL_DEPTHS = 'cls/darl/darl-mse_vit-toy_linear-all-depths_1xb64-20e_cifar10-32px'
SCRATCH = {'model.backbone.init_cfg': None, 'optim_wrapper.paramwise_cfg.layer_decay_rate': 1.0}


@pytest.fixture
def images(tmp_path, monkeypatch) -> Path:
    root = tmp_path / 'cifar10'
    for split in ('train', 'test'):
        write_images(root / split, per_class=2)
    monkeypatch.setenv('CIFAR10_DIR', str(root))
    monkeypatch.setenv('IMAGE_DIR', str(root / 'train'))
    return root


def short(repository: Path, name: str, work_dir: Path) -> Config:
    """The config for two batches of the images, all in this process."""
    cfg = Config.fromfile(repository / 'configs' / f'{name}.py')
    cfg.work_dir = str(work_dir)
    for split in ('train', 'val', 'test'):
        if f'{split}_dataloader' in cfg:
            loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
            cfg[f'{split}_dataloader'].update(loader)
    if 'max_iters' in cfg.train_cfg:
        cfg.train_cfg.max_iters = 2
    else:
        cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    return cfg


@pytest.mark.parametrize('objective', OBJECTIVES)
@pytest.mark.parametrize('data', PRETRAININGS)
def test_small_pretrainings_train_every_weight(data, objective, repository, tmp_path, images):
    cfg = short(repository, data.format(objective), tmp_path / 'run')
    runner = train(cfg)
    assert len(runner.train_dataloader.dataset) == 6
    losses = runner.message_hub.log_scalars['train/loss'].data[0]
    assert all(math.isfinite(loss) for loss in losses)
    moments = runner.optim_wrapper.optimizer.state
    assert {id(p) for p in moments} == {id(p) for p in runner.model.parameters()}
    assert all(state['exp_avg'].any() for state in moments.values())


@pytest.mark.generations
def test_a_classifier_goes_on_from_the_pretraining(repository, tmp_path, images, monkeypatch):
    pretraining = short(repository, PRETRAININGS[0].format(OBJECTIVES[1]), tmp_path / 'pretraining')
    encoder = train(pretraining).model.backbone.state_dict()
    monkeypatch.setenv('ENCODER', str(tmp_path / 'pretraining/iter_2.pth'))
    causal = {'model.backbone.causal': True}
    for options, starts_there in (({}, True), (causal, True), (SCRATCH, False)):
        cfg = short(repository, CLASSIFIER, tmp_path / 'classifier')
        cfg.merge_from_dict(options)
        init_default_scope(cfg.default_scope)
        backbone = MODELS.build(cfg.model.backbone)
        backbone.init_weights()
        assert backbone.causal == (options == causal)
        same = [torch.equal(tensor, encoder[n]) for n, tensor in backbone.state_dict().items()]
        assert all(same) == starts_there
    cfg.model.backbone.arch.update(num_layers=1)
    runner = train(cfg)
    assert 0 <= runner.message_hub.get_scalar('val/accuracy/top1').current() <= 100


def test_all_depths_are_evaluated_on_the_pretraining(repository, tmp_path, images, monkeypatch):
    pretraining = short(repository, PRETRAININGS[0].format(OBJECTIVES[0]), tmp_path / 'pretraining')
    encoder = train(pretraining).model.backbone.state_dict()
    monkeypatch.setenv('ENCODER', str(tmp_path / 'pretraining/iter_2.pth'))
    runner = train(short(repository, ALL_DEPTHS, tmp_path / 'depths'))
    probed = runner.model.encoder.encoder_module.state_dict()
    assert all(torch.equal(tensor, encoder[name]) for name, tensor in probed.items())
    assert all(head.linear.weight.any() for head in runner.model.heads.values())
    for layer in (*runner.model.layers, 'best'):
        assert 0 <= runner.message_hub.get_scalar(f'val/accuracy/{layer}').current() <= 100
