"""Robustness to corruptions: a segmentor that sees brightness alone, and the summary by hand."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from PIL import Image

from mmaddp.experiments.corruptions import (
    evaluate_corruptions,
    format_corruptions,
    summarize_corruptions,
)
from mmaddp.utils import UserError


@MODELS.register_module(force=True)
class Threshold(BaseModel):
    """Class 1 where a pixel is brighter than half."""

    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.bound = torch.nn.Parameter(torch.tensor(127.0))

    def forward(self, inputs, data_samples, mode):
        for image, sample in zip(inputs, data_samples):
            bright = (image.float().mean(dim=0) > self.bound).long()
            sample.pred_sem_seg = PixelData(data=bright[None])
        return data_samples


@pytest.fixture
def config(tmp_path):
    for kind in ('images', 'maps'):
        (tmp_path / kind).mkdir()
    seg_map = np.zeros((24, 24), np.uint8)
    seg_map[:, 12:] = 1
    for number in range(2):
        # Dark and bright halves, so that 0.4 more makes all of it bright.
        image = np.repeat(np.where(seg_map, 180, 40)[..., None], 3, axis=2).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f'images/{number}.png')
        Image.fromarray(seg_map).save(tmp_path / f'maps/{number}.png')
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        img_suffix='.png',
        data_prefix=dict(img_path='images', seg_map_path='maps'),
        metainfo=dict(classes=('dark', 'bright')),
        pipeline=pipeline,
        test_mode=True,
    )
    sampler = dict(type='DefaultSampler', shuffle=False)
    return Config(
        dict(
            default_scope='mmseg',
            model=dict(type='mmengine.Threshold'),
            test_dataloader=dict(batch_size=1, num_workers=0, sampler=sampler, dataset=dataset),
            test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        )
    )


def test_a_segmentor_under_corruption(config, tmp_path, capsys):
    torch.save(dict(state_dict=dict(bound=torch.tensor(127.0)), meta={}), tmp_path / 'a.pth')
    arguments = config, tmp_path / 'a.pth', tmp_path / 'out', ['brightness', 'contrast'], [1, 5]
    summary = evaluate_corruptions(*arguments)
    assert summary['metric'] == 'mIoU'
    assert summary['clean'] == 100
    results = json.loads((tmp_path / 'out/results.json').read_text())
    # All is bright: the IoU of 'bright' is a half, that of 'dark' 0.
    assert results['brightness/5']['mIoU'] == 25
    assert results['brightness/1']['mIoU'] == 100
    assert summary['corruptions']['brightness'] == 62.5
    assert len(capsys.readouterr().out.splitlines()) >= 5
    # A second call measures nothing.
    assert evaluate_corruptions(*arguments) == summary
    assert '[1/' not in capsys.readouterr().out
    with pytest.raises(UserError, match="corruption='rain' is none of 'gaussian_noise'"):
        evaluate_corruptions(*arguments[:3], ['rain'])


def test_summary_by_hand():
    results = {
        'clean': {'coco/bbox_mAP': 0.4},
        'fog/1': {'coco/bbox_mAP': 0.3},
        'fog/2': {'coco/bbox_mAP': 0.1},
        'snow/1': {'coco/bbox_mAP': 0.3},
        'snow/2': {'coco/bbox_mAP': 0.3},
    }
    summary = summarize_corruptions(results)
    assert summary['corruptions'] == pytest.approx(dict(fog=0.2, snow=0.3))
    assert (summary['mpc'], summary['rpc']) == pytest.approx((0.25, 0.625))
    assert '62.5 % of clean' in format_corruptions(summary)
