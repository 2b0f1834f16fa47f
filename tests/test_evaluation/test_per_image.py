"""Metrics on resampled images equal the libraries' on images that are there several times."""

import json

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmaddp.evaluation import ImageScores, PerImage
from mmaddp.evaluation.per_image import average_precision, best_mean_scores, coco_arrays
from mmaddp.registry import METRICS
from mmaddp.utils import UserError

WEIGHTS = np.array([2, 0, 1, 3, 0, 1])
REPEATED = np.repeat(np.arange(6), WEIGHTS)


def objects_and_detections(images):
    """Random boxes of three classes; image i of the set is number ``images[i]``."""
    objects, detections = [], []
    for image, source in enumerate(images):
        generator = np.random.default_rng(source)
        for _ in range(4):
            box = [*generator.uniform(0, 60, 2), *generator.uniform(10, 40, 2)]
            label, crowd = int(generator.integers(0, 3)), int(generator.random() < 0.2)
            objects.append(dict(image_id=image, category_id=label, bbox=box, iscrowd=crowd))
            for _ in range(3):
                near = (np.array(box) + generator.normal(0, 3, 4)).tolist()
                score = generator.random()
                detections.append(dict(image_id=image, category_id=label, bbox=near, score=score))
    objects = [
        dict(one, id=i, area=one['bbox'][2] * one['bbox'][3]) for i, one in enumerate(objects, 1)
    ]
    return objects, detections


def coco_file(images):
    objects, detections = objects_and_detections(images)
    found = [dict(id=i, file_name=f'{i}.jpg', width=120, height=120) for i in range(len(images))]
    # Class 3 has no objects.
    categories = [dict(id=i, name=str(i)) for i in range(4)]
    return dict(images=found, annotations=objects, categories=categories), detections


def evaluate(images):
    content, detections = coco_file(images)
    truth = COCO()
    truth.dataset = content
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(detections), 'bbox')
    evaluation.params.maxDets = [1, 2, 100]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def test_average_precision_of_repeated_images():
    arrays = coco_arrays(evaluate(range(6)))
    repeated = evaluate(REPEATED.tolist()).eval['precision'][:, :, :, 0, -1]
    expected = np.where((repeated > -1).all(axis=1), repeated.mean(axis=1), np.nan)
    found = average_precision(arrays, 'bbox', WEIGHTS)
    assert np.nanmean(found) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_more_detections_than_average_precision_counts():
    evaluation = evaluate(range(6))
    precision = evaluation.eval['precision'][:, :, :, 0, 1]
    expected = np.where((precision > -1).all(axis=1), precision.mean(axis=1), np.nan)
    found = average_precision(coco_arrays(evaluation), 'bbox', np.ones(6, int), most=2)
    assert np.nanmean(found) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_an_evaluation_that_tells_nothing_of_its_images_is_refused(tmp_path):
    pytest.importorskip('faster_coco_eval')
    metric = dict(type='mmaddp.CocoMetric', backend='faster-coco-eval')
    with pytest.raises(UserError, match=r"val_evaluator\.backend: .*; set 'pycocotools'"):
        PerImage(metric, str(tmp_path / 'per_image.npz'))


def recorded(metric, samples, meta, folder):
    """The metrics of an evaluation, and the scores read from its file."""
    one = PerImage(metric, str(folder / 'per_image.npz'))
    one.dataset_meta = meta
    for sample in samples:
        one.process({}, [sample])
    return one.evaluate(len(samples)), ImageScores(folder / 'per_image.npz')


def coco_metrics(folder, content, detections, classes, **settings):
    """MMDetection's metrics of detections, and the scores read from the file of the images."""
    (folder / 'val.json').write_text(json.dumps(content))
    samples = []
    for image in range(len(content['images'])):
        own = [one for one in detections if one['image_id'] == image]
        boxes = torch.tensor([one['bbox'] for one in own]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        instances = dict(
            bboxes=boxes,
            scores=torch.tensor([one['score'] for one in own]),
            labels=torch.tensor([one['category_id'] for one in own], dtype=torch.long),
        )
        samples.append(dict(img_id=image, ori_shape=(120, 120), pred_instances=instances))
    metric = dict(type='mmaddp.CocoMetric', ann_file=str(folder / 'val.json'), **settings)
    return recorded(metric, samples, dict(classes=classes), folder)


def test_coco_through_mmdetection(tmp_path):
    metrics, scores = coco_metrics(tmp_path, *coco_file(range(6)), ('0', '1', '2', '3'))
    assert scores.images == 6
    again = scores.score(np.ones(6))
    for name in ('coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/bbox_mAP_75'):
        assert metrics[name] == pytest.approx(again[name], abs=6e-4)


def grid_of_boxes(count):
    """One image with ``count`` objects of a class, all of them found."""
    boxes = [[i % 12 * 10.0, i // 12 * 8.0, 8.0, 6.0] for i in range(count)]
    objects = [
        dict(id=i + 1, image_id=0, category_id=0, bbox=box, area=48.0, iscrowd=0)
        for i, box in enumerate(boxes)
    ]
    image = dict(id=0, file_name='0.jpg', width=120, height=120)
    content = dict(images=[image], annotations=objects, categories=[dict(id=0, name='0')])
    found = [
        dict(image_id=0, category_id=0, bbox=box, score=1 - i / 1000) for i, box in enumerate(boxes)
    ]
    return content, found


def test_average_precision_counts_100_detections_and_its_thresholds_all(tmp_path):
    metrics, scores = coco_metrics(tmp_path, *grid_of_boxes(150), ('0',))
    again = scores.score(np.ones(1))
    # 101 recalls, of which 100 detections reach two thirds.
    assert metrics['coco/bbox_mAP'] == pytest.approx(67 / 101, abs=6e-4)
    assert metrics['coco/bbox_mAP_50'] == metrics['coco/bbox_mAP_75'] == 1
    assert {name: again[name] for name in again if name in metrics} == pytest.approx(
        {name: metrics[name] for name in again if name in metrics}, abs=6e-4
    )


@pytest.mark.parametrize('backend', ['pycocotools', 'faster-coco-eval'])
def test_precisions_belong_to_their_classes(tmp_path, backend):
    """Ids in another order than the classes."""
    if backend != 'pycocotools':
        pytest.importorskip('faster_coco_eval')
    content, found = grid_of_boxes(4)
    content['categories'] = [dict(id=2, name='cat'), dict(id=1, name='dog')]
    for number, one in enumerate(content['annotations']):
        one['category_id'] = 2 - number % 2
    # All cats are found, and no dog.
    found = [dict(one, category_id=0) for one in found[::2]]
    metric = dict(
        type='mmaddp.CocoMetric',
        ann_file=str(tmp_path / 'val.json'),
        classwise=True,
        backend=backend,
    )
    (tmp_path / 'val.json').write_text(json.dumps(content))
    metric = METRICS.build(metric)
    metric.dataset_meta = dict(classes=('cat', 'dog'))
    boxes = torch.tensor([one['bbox'] for one in found])
    boxes[:, 2:] += boxes[:, :2]
    instances = dict(bboxes=boxes, scores=torch.ones(2), labels=torch.zeros(2, dtype=torch.long))
    metric.process({}, [dict(img_id=0, ori_shape=(120, 120), pred_instances=instances)])
    metrics = metric.evaluate(1)
    assert (metrics['coco/cat_precision'], metrics['coco/dog_precision']) == (1, 0)


def test_nothing_found_is_zero_and_not_what_was_found_before(tmp_path):
    content, found = coco_file(range(6))
    coco_metrics(tmp_path, content, found, ('0', '1', '2', '3'))
    with pytest.raises(FileNotFoundError):
        coco_metrics(tmp_path, content, [], ('0', '1', '2', '3'))
    metric = METRICS.build(dict(type='mmaddp.CocoMetric', ann_file=str(tmp_path / 'val.json')))
    metric.dataset_meta = dict(classes=('0', '1', '2', '3'))
    nothing = dict(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0).long())
    metric.process({}, [dict(img_id=0, ori_shape=(120, 120), pred_instances=nothing)])
    assert metric.evaluate(1) == {
        'coco/bbox_mAP': 0.0,
        'coco/bbox_mAP_50': 0.0,
        'coco/bbox_mAP_75': 0.0,
    }


def test_a_cell_that_predicts_nothing_finite_is_not_the_best():
    arrays = dict(less_rmse=np.array([[0.5, np.nan]] * 6), greater_d1=np.array([[0.9, np.nan]] * 6))
    assert best_mean_scores(arrays, np.ones(6)) == pytest.approx({'rmse/best': 0.5, 'd1/best': 0.9})


def test_iou_of_repeated_images(tmp_path):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randint(0, 3, (2, 6, 1, 8, 8), generator=generator)
    maps[0, 0, 0, :2] = 255
    samples = [
        dict(pred_sem_seg=dict(data=guess), gt_sem_seg=dict(data=truth))
        for truth, guess in zip(*maps)
    ]
    metric, meta = dict(type='mmseg.IoUMetric', iou_metrics=['mIoU']), dict(classes=tuple('abcd'))
    _, scores = recorded(metric, samples, meta, tmp_path)
    expected, _ = recorded(metric, [samples[i] for i in REPEATED], meta, tmp_path / 'repeated')
    found = scores.score(WEIGHTS)
    assert {k: found[k] for k in expected} == pytest.approx(expected, abs=0.006)


def test_top1_and_the_best_cell_of_a_grid(tmp_path):
    # Right on images 0 and 3, which weigh 5 of 7.
    samples = [
        dict(
            pred_score=torch.eye(2)[int(i in (0, 3))],
            gt_label=torch.tensor([1]),
            # Of the cells, b is right on image 5 alone; the control is always right.
            pred_label_by_name=dict(a=int(i in (0, 3)), b=int(i == 5), pixels=1),
        )
        for i in range(6)
    ]
    top1 = recorded(dict(type='mmpretrain.Accuracy'), samples, None, tmp_path)
    best = recorded(dict(type='mmaddp.NamedAccuracy'), samples, None, tmp_path / 'grid')
    for (metrics, scores), name in ((top1, 'accuracy/top1'), (best, 'accuracy/best')):
        assert metrics[name] == pytest.approx(100 / 3)
        assert scores.score(np.ones(6))[name] == pytest.approx(100 / 3)
        assert scores.score(WEIGHTS)[name] == pytest.approx(500 / 7)
    # Images with even numbers choose the cell of image 5, which is a but where 5 is not alone.
    assert best[1].score(np.eye(6)[5])['accuracy/best'] == 0


def test_cells_that_guess_are_no_better_the_more_there_are(tmp_path):
    """With the images that score them, the best of 50 would have 50 % + 2.25 std (11 points)."""
    generator = np.random.default_rng(0)
    scores = []
    for _ in range(40):
        correct = generator.random((100, 50)) < 0.5
        np.savez(tmp_path / 'found.npz', kind='best', prefix='', images=100, correct=correct)
        scores.append(ImageScores(tmp_path / 'found.npz').score(np.ones(100))['best'])
    # The error of the mean is 5 points / sqrt(40).
    assert abs(np.mean(scores) - 50) < 2.5


def test_the_best_cell_of_dense_probes(tmp_path):
    generator = torch.Generator().manual_seed(0)
    labels, guesses = torch.randint(0, 3, (2, 6, 1, 8, 8), generator=generator)
    depths = 1 + torch.rand((6, 1, 8, 8), generator=generator)
    samples = [
        dict(
            # Cell b is right where a is a guess; the control is always right.
            pred_sem_seg_by_name=dict(a=guess[0], b=truth[0].clone(), pixels=truth[0]),
            gt_sem_seg=dict(data=truth),
            pred_depth_map_by_name=dict(a=depth[0] + 0.5, b=depth[0] + 0.1 * (1 + number)),
            gt_depth_map=dict(data=depth),
        )
        for number, (truth, guess, depth) in enumerate(zip(labels, guesses, depths))
    ]
    samples[0]['pred_sem_seg_by_name']['b'][:4] = 0
    meta = dict(classes=('x', 'y', 'z'))
    for kind, name in (('NamedIoU', 'mIoU/best'), ('NamedDepth', 'rmse/best')):
        metric = dict(type=f'mmaddp.{kind}')
        metrics, scores = recorded(metric, samples, meta, tmp_path / kind)
        # b is best on either half of the images.
        assert scores.score(np.ones(6))[name] == pytest.approx(metrics[name])
        repeated, _ = recorded(metric, [samples[i] for i in REPEATED], meta, tmp_path / name)
        assert scores.score(WEIGHTS)[name] == pytest.approx(repeated[name])


def test_probes_of_other_cells_have_the_same_images(tmp_path):
    generator = torch.Generator().manual_seed(0)
    labels, guesses = torch.randint(0, 3, (2, 6, 1, 8, 8), generator=generator)
    meta = dict(classes=('x', 'y', 'z'))

    def truth_of(folder, labels, *cells):
        samples = [
            dict(
                pred_sem_seg_by_name=dict.fromkeys(cells, guess[0]),
                gt_sem_seg=dict(data=label),
            )
            for label, guess in zip(labels, guesses)
        ]
        metric = dict(type='mmaddp.NamedIoU')
        return recorded(metric, samples, meta, tmp_path / folder)[1].truth

    assert truth_of('one', labels, 'a') == truth_of('two', labels, 'a', 'b')
    assert truth_of('one', labels, 'a') != truth_of('other', labels.flip(0), 'a')
