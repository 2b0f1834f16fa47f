"""Average precision on detection data in COCO format."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.evaluation.metrics import coco_metric as mmdet_metric

from mmaddp.datasets.coco_format import CocoFile, read_coco
from mmaddp.registry import METRICS
from mmaddp.utils import UserError, check_choice, require

BACKENDS = ('pycocotools', 'faster-coco-eval')


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """MMDetection's metric, for files of any exporter.

    Args:
        ann_file: The annotation file; the one of :class:`mmaddp.datasets.CocoDataset` by default.
        backend: 'pycocotools', or 'faster-coco-eval' for the same figures in less time.
        kwargs: MMDetection's.

    Raises:
        UserError: The file has no annotations, or
            :func:`mmaddp.datasets.coco_format.read_coco` refuses it; raised before training.
    """

    def __init__(
        self, ann_file: str | None = None, backend: str = 'pycocotools', **kwargs: Any
    ) -> None:
        check_choice('backend', backend, BACKENDS)
        super().__init__(**kwargs)
        self.ann_file = ann_file
        # Fails now if the package is missing, not after the first epoch.
        self.evaluator = faster_evaluator() if backend == 'faster-coco-eval' else None

    @property
    def dataset_meta(self) -> dict | None:
        """The dataset's ``metainfo``. Setting it reads the annotations."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, meta: dict) -> None:
        self._dataset_meta = meta
        path = self.ann_file or meta.get('ann_file')
        if path:
            self._coco_api = index_coco(self._read(path, meta))
            self.cat_ids = self.img_ids = None

    def _read(self, path: str, meta: dict) -> CocoFile:
        found = read_coco(
            path,
            meta['classes'],
            with_masks='segm' in self.metrics,
            backend_args=self.backend_args or meta.get('ann_backend_args'),
        )
        if not self.format_only and not found.total:
            raise UserError(
                f'{path}: has no annotations to evaluate with: add them, or set '
                'val_dataloader, val_evaluator and val_cfg to None'
            )
        found.check_used()
        return found

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average precision by metric."""
        # Images without a size in the file take that of the loaded image.
        for image, _ in results:
            listed = self._coco_api.imgs.get(image['img_id']) if self._coco_api else None
            if listed is not None:
                listed.update(width=image['width'], height=image['height'])
        with using(self.evaluator):
            metrics = super().compute_metrics(results)
        if not metrics and not self.format_only:
            # MMDetection tells nothing where nothing is found, and the last value would stand.
            return {
                f'{kind}_mAP{threshold}': 0.0
                for kind in self.metrics
                if kind in ('bbox', 'segm')
                for threshold in ('', '_50', '_75')
            }
        return metrics


def index_coco(found: CocoFile) -> COCO:
    """The file as the interface of COCO's evaluation."""
    api = COCO()
    api.dataset = {
        'images': found.images,
        'annotations': found.annotations,
        'categories': found.categories,
    }
    api.createIndex()
    api.img_ann_map, api.cat_img_map = api.imgToAnns, api.catToImgs
    return api


def faster_evaluator() -> type:
    """faster-coco-eval in the place of pycocotools' ``COCOeval``.

    Raises:
        UserError: It is not installed.
    """
    require("val_evaluator.backend='faster-coco-eval'", 'faster_coco_eval')
    from faster_coco_eval import COCOeval_faster

    class FasterCOCOeval(COCOeval_faster):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, print_function=print)

        def summarize(self) -> None:
            super().summarize()
            # pycocotools counts 100 boxes of an image for the first figure, whatever the last of
            # maxDets, and so does MMDetection's mAP.
            if 100 in self.params.maxDets:
                self.stats[0] = self._summarize(1, maxDets=100)

    return FasterCOCOeval


def using(evaluator: type | None) -> AbstractContextManager:
    """Have MMDetection's metric evaluate with another class; None for its own."""
    evaluator = in_order_of_classes(evaluator or mmdet_metric.COCOeval)
    return mock.patch.object(mmdet_metric, 'COCOeval', evaluator)


def in_order_of_classes(evaluator: type) -> type:
    """An evaluation whose arrays have the order of the given categories.

    COCO's sorts them by their ids, and MMDetection takes its arrays to be in the order of classes.
    """

    class Ordered(evaluator):
        def evaluate(self) -> None:
            self.ranks = np.argsort(np.argsort(self.params.catIds))
            super().evaluate()

        def accumulate(self, *args: Any, **kwargs: Any) -> None:
            super().accumulate(*args, **kwargs)
            for key, axis in (('precision', 2), ('recall', 1), ('scores', 2)):
                found = self.eval.get(key)
                if found is not None and found.shape[axis] == len(self.ranks):
                    self.eval[key] = np.take(found, self.ranks, axis)

    return Ordered
