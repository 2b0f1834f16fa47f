"""Accuracy by noise level against counts by hand."""

import pytest
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample

import mmaddp  # noqa: F401


def sample(label: int, **predicted: int) -> DataSample:
    one = DataSample().set_gt_label(label)
    by_level = {int(name[1:]): value for name, value in predicted.items()}
    one.set_field(by_level, 'pred_label_by_level')
    return one


def test_each_level_is_counted():
    init_default_scope('mmpretrain')
    evaluator = Evaluator(dict(type='mmaddp.NoiseLevelAccuracy'))
    evaluator.process([sample(0, t1=0, t51=0), sample(1, t1=1, t51=0)])
    evaluator.process([sample(2, t1=2, t51=1), sample(3, t1=0, t51=3)])
    measured = evaluator.evaluate(4)
    assert list(measured) == ['accuracy/level_1', 'accuracy/level_51', 'accuracy/mean']
    assert list(measured.values()) == pytest.approx([75.0, 50.0, 62.5])
