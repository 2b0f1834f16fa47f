"""What an evaluation finds on each image, so that its metrics can be had on resampled images.

A metric of a data set is a function of how often each image counts. Bootstrap samples are such
weights; see :mod:`mmaddp.evaluation.statistics`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable
from unittest import mock

import numpy as np
from mmengine.evaluator import BaseMetric

from mmaddp.registry import METRICS
from mmaddp.utils import UserError, atomic_write

Arrays = dict[str, np.ndarray]
# Recall thresholds of COCO's evaluation.
RECALLS = np.linspace(0, 1, 101)
# Detections of an image and class that count in COCO's AP; in AP50 and AP75 all do.
MOST_DETECTIONS = 100
# Findings that do not depend on the model.
TRUTH = ('label', 'objects_bbox', 'objects_segm')


@METRICS.register_module()
class PerImage(BaseMetric):
    """Another metric, whose findings on each image are also written to a file.

    A metric of one's own takes part by a method ``per_image(results)`` that returns the arrays of
    one of the kinds of :data:`SCORES`, with the key ``kind``. The libraries' metrics for top-1,
    IoU and COCO are known.

    Args:
        metric: Config of the metric.
        file: A .npz file, replaced at each evaluation.

    Raises:
        UserError: The metric evaluates by faster-coco-eval, which does not tell what it finds.
    """

    def __init__(self, metric: dict, file: str) -> None:
        self.metric, self.file = METRICS.build(metric), Path(file)
        if getattr(self.metric, 'evaluator', None):
            raise UserError(
                'val_evaluator.backend: a comparison needs what is found on each image; set '
                "'pycocotools'"
            )
        super().__init__(self.metric.collect_device)
        self.results, self.prefix = self.metric.results, self.metric.prefix

    @property
    def dataset_meta(self) -> dict | None:
        """The dataset's ``metainfo``."""
        return self.metric.dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, meta: dict) -> None:
        self.metric.dataset_meta = meta

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Let the metric record a batch."""
        self.metric.process(data_batch, data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The metrics by name; their findings go to the file."""
        with capture_coco() as evaluations:
            metrics = self.metric.compute_metrics(results)
        arrays = findings(self.metric, results, evaluations)
        if arrays:
            with atomic_write(self.file) as temporary, open(temporary, 'wb') as file:
                about = {'prefix': self.prefix or '', 'images': len(results)}
                np.savez_compressed(file, **about, **arrays)
        else:
            # What an earlier evaluation found is not this one's.
            self.file.unlink(missing_ok=True)
        return metrics


def findings(metric: BaseMetric, results: list, evaluations: list) -> Arrays:
    """The arrays that :func:`read_scores` reads; empty for a metric that is not known."""
    names = [parent.__name__ for parent in type(metric).__mro__]
    if hasattr(metric, 'per_image'):
        return metric.per_image(results)
    if evaluations:
        parts = (coco_arrays(one) for one in evaluations)
        return {'kind': 'coco', **{key: value for part in parts for key, value in part.items()}}
    if any(name.startswith('Named') for name in names):
        return named_findings(metric, np.stack([one.numpy() for one in results]))
    if 'IoUMetric' in names and results:
        intersect, union, _, label = (np.stack(part) for part in zip(*results))
        return {'kind': 'iou', 'intersect': intersect, 'union': union, 'label': label}
    if 'Accuracy' in names:
        labels = np.array([int(one['gt_label']) for one in results])
        correct = np.array([top1_of(one) for one in results])
        return {'kind': 'top1', 'correct': correct, 'label': labels}
    return {}


def named_findings(metric: BaseMetric, found: np.ndarray) -> Arrays:
    """Those of a grid of probes; ``found`` is (images, cells, ...)."""
    # Controls are not cells that the best is chosen from.
    found = found[:, [name.split(':')[0] not in metric.controls for name in metric.names]]
    kind = type(metric).__name__
    if kind == 'NamedIoU':
        parts = dict(zip(('intersect', 'union', '', 'label'), np.moveaxis(found, 2, 0)))
        return {'kind': 'best_iou', **{name: part for name, part in parts.items() if name}}
    if kind == 'NamedDepth':
        means = dict(zip(metric.rules, np.moveaxis(found, 2, 0)))
        means = {f'{metric.rules[name]}_{name}': part for name, part in means.items()}
        return {'kind': 'best_mean', **means}
    return {'kind': 'best', 'correct': found} if kind == 'NamedAccuracy' else {}


def top1_of(result: Mapping[str, Any]) -> bool:
    """Whether the class with the highest score of an image is right."""
    best = result['pred_score'].argmax() if 'pred_score' in result else result['pred_label']
    return bool(best == result['gt_label'])


@contextmanager
def capture_coco() -> Iterator[list]:
    """The COCO evaluations that MMDetection makes in the body; it does not give them out."""
    made: list = []
    # Without MMDetection's metric there is nothing to capture.
    coco_metric = sys.modules.get('mmdet.evaluation.metrics.coco_metric')
    if coco_metric is None:
        yield made
        return

    class CapturedEvaluation(coco_metric.COCOeval):
        def accumulate(self, *args: Any, **kwargs: Any) -> None:
            made.append(self)
            super().accumulate(*args, **kwargs)

    with mock.patch.object(coco_metric, 'COCOeval', CapturedEvaluation):
        yield made


def coco_arrays(evaluation: Any) -> Arrays:
    """The matches of COCO's evaluation at all areas, class by class in order of the scores.

    Returns:
        ``image``, ``category`` and ``rank`` among those of the image and category (detections,),
        ``matched`` and ``ignored`` (thresholds, detections), and ``objects`` (images, categories),
        the number of objects to find. Keys end with the kind of overlap, 'bbox' or 'segm'.
    """
    params, images = evaluation.params, len(evaluation.params.imgIds)
    objects = np.zeros((images, len(params.catIds)), np.int32)
    image, category, rank, matched, ignored = [], [], [], [], []
    for number in range(len(params.catIds)):
        # The first range of areas is all of them.
        start = number * len(params.areaRng) * images
        of_images = enumerate(evaluation.evalImgs[start : start + images])
        found = [(i, one) for i, one in of_images if one is not None]
        for i, one in found:
            objects[i, number] = np.count_nonzero(np.asarray(one['gtIgnore']) == 0)
        if not found:
            continue
        scores, matches, ignores, ranks = zip(*(found_in(one) for _, one in found))
        # COCO's sort, so that ties keep its order.
        order = np.argsort(-np.concatenate(scores), kind='mergesort')
        image.append(np.repeat([i for i, _ in found], [len(one) for one in scores])[order])
        category.append(np.full(len(order), number))
        rank.append(np.concatenate(ranks)[order])
        matched.append(np.concatenate(matches, axis=1)[:, order])
        ignored.append(np.concatenate(ignores, axis=1)[:, order])
    empty = np.zeros((len(params.iouThrs), 0), bool)
    arrays = {
        'image': np.concatenate([np.zeros(0), *image]).astype(np.int32),
        'category': np.concatenate([np.zeros(0), *category]).astype(np.int32),
        'rank': np.concatenate([np.zeros(0), *rank]).astype(np.int32),
        'matched': np.concatenate([empty, *matched], axis=1).astype(bool),
        'ignored': np.concatenate([empty, *ignored], axis=1).astype(bool),
        'objects': objects,
        'thresholds': np.asarray(params.iouThrs),
    }
    return {f'{key}_{params.iouType}': value for key, value in arrays.items()}


def found_in(one: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """Scores, matches, ignored detections and ranks (..., N) of an image and class."""
    scores, matches, ignores = (np.asarray(one[f'dt{k}']) for k in ('Scores', 'Matches', 'Ignore'))
    return scores, matches != 0, ignores != 0, np.arange(len(scores))


def average_precision(
    arrays: Arrays, kind: str, weights: np.ndarray, most: int | None = None
) -> np.ndarray:
    """COCO's AP by threshold, where image i is there ``weights[i]`` times; see COCOeval.accumulate.

    Args:
        arrays: Those of :func:`coco_arrays`.
        kind: 'bbox' or 'segm'.
        weights: (images,).
        most: Detections of an image and class that count; None for all.

    Returns:
        (thresholds, categories), NaN for categories without objects.
    """
    category, objects = arrays[f'category_{kind}'], weights @ arrays[f'objects_{kind}']
    precision = np.full((len(arrays[f'thresholds_{kind}']), len(objects)), np.nan)
    bounds = np.searchsorted(category, np.arange(len(objects) + 1))
    for number in np.flatnonzero(objects):
        part = slice(bounds[number], bounds[number + 1])
        counts = weights[arrays[f'image_{kind}'][part]]
        if most is not None:
            counts = counts * (arrays[f'rank_{kind}'][part] < most)
        matched, ignored = (arrays[f'{key}_{kind}'][:, part] for key in ('matched', 'ignored'))
        true = np.cumsum(counts * (matched & ~ignored), axis=1)
        false = np.cumsum(counts * (~matched & ~ignored), axis=1)
        recall = true / objects[number]
        best = true / (true + false + np.spacing(1))
        # Precision at a recall is the best one at that recall or a higher one.
        best = np.maximum.accumulate(best[:, ::-1], axis=1)[:, ::-1]
        best = np.pad(best, ((0, 0), (0, 1)))
        for threshold, (reached, values) in enumerate(zip(recall, best)):
            precision[threshold, number] = values[np.searchsorted(reached, RECALLS)].mean()
    return precision


def coco_scores(arrays: Arrays, weights: np.ndarray) -> dict[str, float]:
    """AP, AP50 and AP75 in [0, 1], as MMDetection names them."""
    scores = {}
    for kind in (key[len('image_') :] for key in arrays if key.startswith('image_')):
        precision = average_precision(arrays, kind, weights)
        thresholds, counted = arrays[f'thresholds_{kind}'], precision
        if (arrays[f'rank_{kind}'] >= MOST_DETECTIONS).any():
            counted = average_precision(arrays, kind, weights, MOST_DETECTIONS)
        scores[f'{kind}_mAP'] = np.nanmean(counted)
        for percent in (50, 75):
            at = np.isclose(thresholds, percent / 100)
            if at.any():
                scores[f'{kind}_mAP_{percent}'] = np.nanmean(precision[at])
    return scores


def iou_scores(arrays: Arrays, weights: np.ndarray) -> dict[str, float]:
    """mIoU, mAcc and aAcc in percent; classes that are nowhere do not count."""
    intersect, union, label = (weights @ arrays[key] for key in ('intersect', 'union', 'label'))
    with np.errstate(invalid='ignore', divide='ignore'):
        iou, accuracy = np.nanmean(intersect / union), np.nanmean(intersect / label)
    return {
        'mIoU': 100 * iou,
        'mAcc': 100 * accuracy,
        'aAcc': 100 * intersect.sum() / label.sum(),
    }


def top1_scores(arrays: Arrays, weights: np.ndarray) -> dict[str, float]:
    """Top-1 accuracy in percent."""
    return {'top1': 100 * weights @ arrays['correct'] / weights.sum()}


def cells_by_others(rank: Callable[[np.ndarray], int], weights: np.ndarray) -> np.ndarray:
    """For each image, the cell of a grid that is best on the other half of the images.

    A cell that is chosen on the same images that score it gets too good a score, and more so the
    more cells there are.

    Args:
        rank: Returns the best cell for the given weights of the images.
        weights: Weights of the images (images,).

    Returns:
        Indices of cells (images,).
    """
    even = np.arange(len(weights)) % 2 == 0
    return np.where(even, rank(weights * ~even), rank(weights * even))


def of_cells(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Select one cell for each image: (images, cells, ...) -> (images, ...)."""
    return values[np.arange(len(values)), cells]


def best_scores(arrays: Arrays, weights: np.ndarray) -> dict[str, float]:
    """Accuracy of the best cell of a grid in percent, chosen on other images."""
    correct = arrays['correct']
    cells = cells_by_others(lambda chosen: np.argmax(chosen @ correct), weights)
    return {'best': top1_scores({'correct': of_cells(correct, cells)}, weights)['top1']}


def best_iou_scores(arrays: Arrays, weights: np.ndarray) -> dict[str, float]:
    """mIoU, mAcc and aAcc in percent of the cell with the best mIoU on other images."""

    def rank(chosen: np.ndarray) -> int:
        intersect, union = (np.tensordot(chosen, arrays[key], 1) for key in ('intersect', 'union'))
        # A class that is neither labeled nor predicted has no union and does not count.
        shares = np.divide(intersect, union, out=np.zeros(union.shape), where=union > 0)
        return np.argmax(shares.sum(axis=1) / np.maximum((union > 0).sum(axis=1), 1))

    cells = cells_by_others(rank, weights)
    own = iou_scores({key: of_cells(value, cells) for key, value in arrays.items()}, weights)
    return {f'{name}/best': value for name, value in own.items()}


def best_mean_scores(arrays: Arrays, weights: np.ndarray) -> dict[str, float]:
    """Means over images of the arrays ``greater_NAME`` and ``less_NAME`` (images, cells).

    They are those of the best cell: the one that is best in the first array, on other images. NaN
    does not count.
    """
    rule, first = next((key.split('_')[0], value) for key, value in arrays.items())
    choose, worst = (np.argmax, -np.inf) if rule == 'greater' else (np.argmin, np.inf)

    def best(chosen: np.ndarray) -> int:
        return choose(np.nan_to_num(known_mean(first, chosen), nan=worst))

    cells = cells_by_others(best, weights)
    return {
        f'{key.split("_", 1)[1]}/best': known_mean(of_cells(value, cells), weights)
        for key, value in arrays.items()
    }


def known_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of (images, ...) over the images that are not NaN; NaN without any."""
    known = np.isfinite(values)
    with np.errstate(invalid='ignore', divide='ignore'):
        return weights @ np.where(known, values, 0) / (weights @ known)


def mean_scores(arrays: Arrays, weights: np.ndarray) -> dict[str, float]:
    """Means over images of the arrays ``mean_NAME`` (images,)."""
    means = {key[len('mean_') :]: value for key, value in arrays.items() if key.startswith('mean_')}
    return {name: weights @ values / weights.sum() for name, values in means.items()}


# The metrics of a kind of findings as a function of weights.
SCORES: dict[str, Callable[[Arrays, np.ndarray], dict[str, float]]] = {
    'best': best_scores,
    'best_iou': best_iou_scores,
    'best_mean': best_mean_scores,
    'coco': coco_scores,
    'iou': iou_scores,
    'mean': mean_scores,
    'top1': top1_scores,
}


class ImageScores:
    """The metrics of an evaluation on weighted images.

    Args:
        file: Of :class:`PerImage`.

    Attributes:
        images: Number of images.
        truth: Hash of the annotations, to tell whether two evaluations have the same images.
    """

    def __init__(self, file: str | Path) -> None:
        with np.load(file) as stored:
            arrays = dict(stored)
        self.kind, self.prefix = str(arrays.pop('kind')), str(arrays.pop('prefix'))
        self.images, self.arrays = int(arrays.pop('images')), arrays
        truth = [arrays[key] for key in TRUTH if key in arrays]
        if self.kind == 'best_iou':
            # All cells of a probe have the same labels, and probes may differ in their number.
            truth = [array[:, 0] for array in truth]
        self.truth = hashlib.sha256(b''.join(one.tobytes() for one in truth)).hexdigest()

    def score(self, weights: np.ndarray) -> dict[str, float]:
        """The metrics by their names in the log; image i counts ``weights[i]`` times."""
        scores = SCORES[self.kind](self.arrays, weights)
        prefix = f'{self.prefix}/' if self.prefix else ''
        return {f'{prefix}{name}': float(value) for name, value in scores.items()}
