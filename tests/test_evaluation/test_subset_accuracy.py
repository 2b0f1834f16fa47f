import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.evaluation import Accuracy
from mmpretrain.structures import DataSample

from mmaddp.evaluation import SubsetAccuracy
from mmaddp.utils import UserError


def samples(scores, labels):
    return [
        DataSample().set_gt_label(label).set_pred_score(score)
        for score, label in zip(scores, labels)
    ]


def evaluate(metric, scores, labels, **dataset_meta):
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dataset_meta
    evaluator.process(samples(scores, labels))
    return evaluator.evaluate(len(labels))['accuracy/top1']


# The best class of each row: 3, 0, 1, 2. Among classes 1 and 3 only: 3, 1, 1, 3.
SCORES = torch.tensor(
    [
        [0.2, 0.1, 0.0, 0.7],
        [0.6, 0.3, 0.0, 0.1],
        [0.0, 0.8, 0.1, 0.1],
        [0.1, 0.1, 0.6, 0.2],
    ]
)


def test_prediction_is_the_best_of_the_subset():
    assert evaluate(SubsetAccuracy([1, 3]), SCORES, [3, 1, 3, 3]) == 75.0
    assert evaluate(SubsetAccuracy([1, 3]), SCORES, [3, 1, 1, 3]) == 100.0


def test_classes_outside_the_subset_cannot_win():
    # Plain accuracy sees only the first of these as right.
    labels = [3, 1, 3, 3]
    assert evaluate(Accuracy(), SCORES, labels) == 25.0


def test_indices_beyond_what_bfloat16_counts():
    scores = torch.zeros(1, 400, dtype=torch.bfloat16)
    scores[0, 301] = 1
    assert evaluate(SubsetAccuracy([300, 301]), scores, [301]) == 100.0


def test_all_classes_give_plain_accuracy():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(200, 10, generator=generator).softmax(1)
    labels = torch.randint(0, 10, (200,), generator=generator).tolist()
    every = SubsetAccuracy(list(range(10)))
    assert evaluate(every, scores, labels) == evaluate(Accuracy(), scores, labels)


def test_subset_comes_from_the_data_set():
    meta = {'classes': 'abcd', 'class_indices': [1, 3]}
    assert evaluate(SubsetAccuracy(), SCORES, [3, 1, 3, 3], **meta) == 75.0


def test_subset_must_come_from_somewhere():
    with pytest.raises(KeyError, match='class_indices'):
        evaluate(SubsetAccuracy(), SCORES, [3, 1, 3, 3])


def test_classifier_of_other_classes_is_refused():
    with pytest.raises(UserError, match='the model scores 4 classes, the data set has 3'):
        evaluate(SubsetAccuracy([1]), SCORES, [1, 1, 1, 1], classes='abc')
