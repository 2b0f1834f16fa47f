"""Accuracies by name, counted by hand."""

import pytest
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample

import mmaddp  # noqa: F401


def sample(label, **predicted):
    one = DataSample().set_gt_label(label)
    one.set_field(predicted, 'pred_label_by_name')
    return one


def test_each_name_is_counted_and_pixels_are_not_compared():
    init_default_scope('mmpretrain')
    evaluator = Evaluator(dict(type='mmaddp.NamedAccuracy'))
    evaluator.process([sample(1, a=1, b=0, pixels=1), sample(2, a=2, b=2, pixels=2)])
    evaluator.process([sample(0, a=0, b=1, pixels=0), sample(0, a=1, b=2, pixels=0)])
    assert evaluator.evaluate(4) == {
        'accuracy/a': 75.0,
        'accuracy/b': 25.0,
        'accuracy/pixels': 100.0,
        'accuracy/best': 75.0,
        'accuracy/mean': 50.0,
    }


def test_the_order_of_the_names_is_kept():
    init_default_scope('mmpretrain')
    evaluator = Evaluator(dict(type='mmaddp.NamedAccuracy'))
    evaluator.process([sample(0, level_1=0, level_51=0), sample(1, level_1=1, level_51=0)])
    evaluator.process([sample(2, level_1=2, level_51=1), sample(3, level_1=0, level_51=3)])
    measured = evaluator.evaluate(4)
    names = ['accuracy/level_1', 'accuracy/level_51', 'accuracy/best', 'accuracy/mean']
    assert list(measured) == names
    assert list(measured.values()) == pytest.approx([75.0, 50.0, 75.0, 62.5])
