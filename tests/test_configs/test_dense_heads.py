"""DINO and Mask2Former: one base file each, for every encoder."""

from __future__ import annotations

import math
from pathlib import Path

import mmdet
import mmseg
import pytest
import torch
from compiled_operators import use_operators
from config_runs import all_names, load, shorten, train_and_evaluate
from config_tools import flat
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmaddp.operators import mmcv_ext

DINO = 'det/addp/dino_addp-vit-b_sfp_8xb2-lsj-12e_coco'
MASK2FORMER = 'seg/addp/mask2former_addp-vit-b_8xb2-160k_ade20k-512x512'
# In the wheels of MMDetection and MMSegmentation.
PUBLISHED = {
    DINO: (mmdet, 'dino/dino-5scale_swin-l_8xb2-12e_coco.py'),
    MASK2FORMER: (mmseg, 'mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py'),
}
TOY_DINO = 'det/addp/dino_addp-vit-toy_sfp_1xb4-500i_coco-folder.py'
TOY_MASK2FORMER = 'seg/addp/mask2former_addp-vit-toy_1xb8-600i_camvid-112x112.py'
# Toy encoders of other methods, from the configs of other heads.
TOYS = [
    (TOY_DINO, None),
    (TOY_DINO, 'det/ddae/mask-rcnn_ddae-ddpm-unet-toy_sfp_1xb4-500i_coco-folder.py'),
    (TOY_MASK2FORMER, None),
    (TOY_MASK2FORMER, 'seg/darl/upernet_darl-vit-toy_1xb8-600i_camvid-112x112.py'),
]
ENCODERS = ['darl_vit-b', 'ddae-ddpm_unet', 'ddae-edm_ddpmpp', 'ddae-ddpm_dit-xl', 'mae_vit-l']
# What follows from the encoder.
OF_THE_ENCODER = ('backbone.', 'neck.', 'data_preprocessor.', 'decode_head.in_channels')


def published_config(name: str) -> Config:
    package, path = PUBLISHED[name]
    return Config.fromfile(Path(package.__file__).parent / '.mim/configs' / path)


@pytest.mark.parametrize('name', PUBLISHED)
def test_heads_are_the_published_ones(name, load_config):
    ours = flat(load_config(name).model.to_dict())
    published = flat(published_config(name).model.to_dict())
    says = {key for key in {*ours, *published} if ours.get(key) != published.get(key)}
    assert {key for key in says if not key.startswith(OF_THE_ENCODER)} <= {
        # MMSegmentation spells out defaults.
        *(key for key in says if key not in ours and published[key] in (None, 0.0, 64)),
    }


@pytest.mark.parametrize('name', PUBLISHED)
def test_recipes_are_the_published_ones(name, load_config):
    ours, published = load_config(name), published_config(name)
    for key in ('type', 'lr', 'weight_decay'):
        assert ours.optim_wrapper.optimizer[key] == published.optim_wrapper.optimizer[key]
    assert ours.optim_wrapper.type == published.optim_wrapper.type
    assert ours.optim_wrapper.clip_grad == published.optim_wrapper.clip_grad
    assert ours.auto_scale_lr.base_batch_size == published.auto_scale_lr.base_batch_size
    assert ours.train_dataloader.batch_size == published.train_dataloader.batch_size == 2
    (schedule,), (theirs,) = ours.param_scheduler, published.param_scheduler
    if name == DINO:
        epoch = ours.train_cfg.max_iters // published.train_cfg.max_epochs
        assert epoch * 16 == 118_000
        assert schedule.milestones == [epoch * theirs.milestones[0]]
        assert ours.val_evaluator.metric == ours.test_evaluator.metric == 'bbox'
    else:
        assert ours.train_cfg.max_iters == published.train_cfg.max_iters
        assert schedule == theirs
    # The encoder's layers decay as under Mask R-CNN and UperNet.
    rate = ours.optim_wrapper.paramwise_cfg.layer_decay_rate
    assert rate == (0.7 if name == DINO else 0.65)


@pytest.mark.generations
@pytest.mark.parametrize(('name', 'encoder'), TOYS)
def test_heads_train_and_evaluate(name, encoder, repository, shared, tmp_path, monkeypatch):
    """With this package's operators, also where mmcv has its own."""
    use_operators(monkeypatch, mmcv_ext)
    monkeypatch.setenv('COCO_DIR', str(shared / 'data' / 'penn_fudan_coco'))
    monkeypatch.setenv('CAMVID_DIR', str(shared / 'data' / 'camvid_ade'))
    cfg = shorten(load(repository, name), tmp_path, batch_size=2, train=6, val=2)
    # With some seeds, a branch of DINO gets no gradient in three steps.
    cfg.randomness = dict(seed=0)
    if encoder:
        take_encoder(cfg.model, load(repository, encoder).model)
    runner, changed, metrics = train_and_evaluate(cfg)
    assert metrics['coco/bbox_mAP' if 'dino' in name else 'mIoU'] >= 0
    losses = runner.message_hub.log_scalars['train/loss'].data[0]
    assert len(losses) == 3
    assert all(math.isfinite(loss) for loss in losses)
    assert changed == all_names(runner)


def take_encoder(model: dict, other: dict) -> None:
    """Give a model the encoder of another, with the pyramid and the pixels that belong to it."""
    model.backbone = other.backbone
    model.neck = {**other.neck, 'out_channels': 256} if 'out_channels' in other.neck else other.neck
    for key in ('mean', 'std'):
        model.data_preprocessor[key] = other.data_preprocessor[key]


@pytest.mark.parametrize('name', PUBLISHED)
@pytest.mark.parametrize('encoder', ENCODERS)
def test_one_base_takes_every_encoder(name, encoder, repository, tmp_path):
    """Only the encoder's file and its width change."""
    text = (repository / f'configs/{name}.py').read_text()
    text = text.replace('../../_base_/', f'{repository}/configs/_base_/')
    path = tmp_path / 'combined.py'
    path.write_text(text.replace('addp_vit-b', encoder))
    cfg = Config.fromfile(path)
    form = 'for_detection' if name == DINO else 'for_segmentation'
    assert cfg.model.backbone == cfg[form].backbone
    if name == MASK2FORMER:
        neck = cfg.model.neck
        cfg.model.decode_head.in_channels = 4 * [neck.get('out_channels') or neck.embed_dim]
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        assert MODELS.build(cfg.model)
