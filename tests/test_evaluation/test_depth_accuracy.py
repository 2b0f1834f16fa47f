"""Accuracy by depth against counts by hand."""

import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample

import mmaddp  # noqa: F401


def sample(label: int, *predicted: int) -> DataSample:
    one = DataSample().set_gt_label(label)
    one.set_field(torch.tensor(predicted), 'pred_label_by_depth')
    return one


def test_each_depth_is_counted_and_the_first_best_is_named():
    init_default_scope('mmpretrain')
    evaluator = Evaluator(dict(type='mmaddp.DepthAccuracy'))
    evaluator.process([sample(0, 0, 0, 0), sample(1, 0, 1, 1)])
    evaluator.process([sample(2, 0, 2, 1), sample(3, 0, 1, 3)])
    assert evaluator.evaluate(4) == {
        'accuracy/depth_1': 25.0,
        'accuracy/depth_2': 75.0,
        'accuracy/depth_3': 75.0,
        'accuracy/best': 75.0,
        'accuracy/best_depth': 2,
    }
