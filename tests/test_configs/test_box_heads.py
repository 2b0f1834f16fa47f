"""Faster R-CNN and Cascade R-CNN: the detectors of Mask R-CNN's files without masks."""

from __future__ import annotations

import json
import math

import pytest
import torch
from config_runs import all_names, load, shorten, train_and_evaluate
from config_tools import flat
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

FOLDER = 'det/addp/{}_addp-vit-b_sfp_8xb2-lsj-36e_coco-folder'
HEADS = {'faster-rcnn': 'mask-rcnn', 'cascade-rcnn': 'cascade-mask-rcnn'}
TOY = 'det/addp/faster-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py'


@pytest.mark.parametrize(('boxes', 'masks'), HEADS.items())
def test_heads_are_those_of_the_mask_detectors(boxes, masks, repository, load_config):
    theirs = flat(
        Config.fromfile(repository / f'configs/_base_/heads/{masks}_sfp.py').model.to_dict()
    )
    ours = flat(load_config(FOLDER.format(boxes)).model.to_dict())
    of_boxes = {key for key in theirs if '.mask_' not in key} - {'type', 'neck.type'}
    differing = {key for key in of_boxes if ours.get(key) != theirs[key]}
    stages = {key for key in differing if key.endswith('.bbox_head')}
    for key in stages:
        assert [dict(head, num_classes=80) for head in ours[key]] == theirs[key]
    assert {key.split('.')[-1] for key in differing - stages} <= {'num_classes'}
    assert ours['roi_head.mask_head'] is None


@pytest.mark.parametrize('head', HEADS)
def test_one_base_takes_every_encoder(head, repository, tmp_path):
    text = (repository / f'configs/{FOLDER.format(head)}.py').read_text()
    text = text.replace('../../_base_/', f'{repository}/configs/_base_/')
    files = sorted((repository / 'configs/_base_/backbones').glob('*.py'))
    encoders = [path.stem for path in files if 'for_detection' in path.read_text()]
    assert len(encoders) >= 7
    init_default_scope('mmdet')
    for encoder in encoders:
        path = tmp_path / f'{encoder}.py'
        path.write_text(text.replace('addp_vit-b', encoder))
        with torch.device('meta'):
            assert not MODELS.build(Config.fromfile(path).model).with_mask


@pytest.mark.parametrize('head', HEADS)
def test_no_masks_are_read(head, load_config):
    cfg = load_config(FOLDER.format(head))
    for split in ('train', 'val', 'test'):
        loading = [one for one in cfg[f'{split}_dataloader'].dataset.pipeline if 'with_bbox' in one]
        assert [one.get('with_mask', False) for one in loading] == [False]
    assert cfg.val_evaluator.metric == cfg.test_evaluator.metric == 'bbox'


def test_boxes_train_and_evaluate_at_another_size(repository, shared, tmp_path, monkeypatch):
    source = shared / 'data' / 'penn_fudan_coco'
    for split in ('train', 'val'):
        (tmp_path / split).symlink_to(source / split)
        content = json.loads((source / f'annotations/instances_{split}.json').read_text())
        for one in content['annotations']:
            for key in ('segmentation', 'area', 'iscrowd', 'id'):
                del one[key]
        (tmp_path / f'{split}.json').write_text(json.dumps(content))
    monkeypatch.setenv('COCO_DIR', str(tmp_path))
    monkeypatch.setenv('TRAIN_ANN', 'train.json')
    monkeypatch.setenv('VAL_ANN', 'val.json')
    monkeypatch.setenv('IMAGE_SIZE', '96')
    cfg = shorten(load(repository, TOY), tmp_path / 'work', batch_size=2, train=6, val=2)
    runner, changed, metrics = train_and_evaluate(cfg)
    assert metrics['coco/bbox_mAP'] >= 0
    losses = runner.message_hub.log_scalars['train/loss'].data[0]
    assert all(math.isfinite(loss) for loss in losses)
    assert changed == all_names(runner)
    assert max(runner.val_loop.dataloader.dataset[0]['inputs'].shape) == 96
    assert len(runner.model.backbone.pos_embed[0]) == (96 // 8) ** 2
