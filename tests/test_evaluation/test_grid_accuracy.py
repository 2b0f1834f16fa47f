"""Accuracies by cell, counted by hand."""

import torch

from mmaddp.evaluation import GridAccuracy


def sample(predictions, label):
    return dict(
        cells=['out_1@3', 'out_2@3', 'pixels'],
        pred_label_by_cell=torch.tensor(predictions),
        gt_label=torch.tensor([label]),
    )


def test_the_best_is_the_highest_but_for_pixels():
    metric = GridAccuracy()
    metric.process(None, [sample([1, 0, 1], 1), sample([2, 2, 2], 2)])
    metric.process(None, [sample([0, 1, 0], 0), sample([1, 2, 0], 0)])
    assert metric.evaluate(4) == {
        'accuracy/out_1@3': 75.0,
        'accuracy/out_2@3': 25.0,
        'accuracy/pixels': 100.0,
        'accuracy/best': 75.0,
    }
