"""Detection data in COCO format."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator
from copy import copy
from typing import Any

from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.logging import print_log

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError

from .coco_format import CocoFile, read_coco
from .image_files import Header, read_header
from .loading import LoadImage


@DATASETS.register_module()
class CocoDataset(MMDetCocoDataset):
    """MMDetection's, for files of any exporter.

    A label is the index of its category's name in ``metainfo.classes``, in whatever order the file
    lists its categories. Keys that the file leaves out are computed where that is unambiguous.
    Annotations that cannot be used are counted in one warning. A photograph that was annotated as
    it is stored is not turned by its EXIF tag. In ``test_mode``, ``metainfo`` has the file's name,
    for :class:`mmaddp.evaluation.CocoMetric`.

    Raises:
        UserError: The file is not in COCO format, its categories lack a class, no annotation can
            be used, or an image has another size than the file says.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Pipelines name MMCV's reader, which MMDetection's inference looks for.
        self.pipeline.transforms = [
            AnnotatedImageReader(LoadImage.like(one)) if type(one) is LoadImageFromFile else one
            for one in self.pipeline.transforms
        ]

    def load_data_list(self) -> list[dict]:
        """Read the annotations of all images."""
        found = read_coco(
            self.ann_file,
            self.metainfo['classes'],
            with_masks=any(getattr(one, 'with_mask', False) for one in self._transforms()),
            backend_args=self.backend_args,
            measure=self._measure,
        )
        self._report(found)
        self.cat_ids = [one['id'] for one in found.categories]
        self.cat2label = {i: label for label, i in enumerate(self.cat_ids)}
        self.cat_img_map = defaultdict(list)
        of_image = defaultdict(list)
        for one in found.annotations:
            self.cat_img_map[one['category_id']].append(one['image_id'])
            of_image[one['image_id']].append(one)
        if self.test_mode:
            self._metainfo.update(ann_file=self.ann_file, ann_backend_args=self.backend_args)
        return [
            self.parse_data_info(
                {
                    'raw_img_info': {**image, 'img_id': image['id']},
                    'raw_ann_info': of_image[image['id']],
                }
            )
            for image in found.images
        ]

    def _transforms(self) -> Iterator[Any]:
        """All transforms of the pipeline, also those within others."""
        waiting = [self.pipeline]
        while waiting:
            one = waiting.pop(0)
            yield one
            inner = getattr(one, 'transforms', ())
            waiting += inner if isinstance(inner, (list, tuple)) else [inner]

    def _measure(self, file_name: str) -> Header:
        stored = (getattr(one, 'backend_args', None) for one in self._transforms())
        path = os.path.join(self.data_prefix['img'], file_name)
        return read_header(path, next(filter(None, stored), None))

    def _report(self, found: CocoFile) -> None:
        if not self.test_mode and found.images and not found.total:
            raise UserError(f'{found.path}: has no annotations to train on: add them')
        found.check_used()
        # Neither training nor evaluation counts crowds.
        used = {one['category_id'] for one in found.annotations if not one['iscrowd']}
        told = [f'{count} {what}' for what, count in found.told.items()]
        if found.lost:
            unused = sum(found.lost.values())
            told.insert(0, f'{unused} of {found.total} annotations unused: {found.losses()}')
        without = {one['name'] for one in found.categories if one['id'] not in used}
        if without and not self.test_mode:
            told.append(f'no annotation of {", ".join(sorted(without))}')
        if told:
            print_log(f'{found.path}: {"; ".join(told)}', 'current', logging.WARNING)


class AnnotatedImageReader(BaseTransform):
    """Gives the image that was annotated.

    MMCV turns a photograph by its EXIF tag. Where the annotations have the size of the image as it
    is stored, its pixels are taken as they are stored.

    Args:
        reader: The transform that reads images.

    Raises:
        UserError: The image has another size than its annotations say.
    """

    def __init__(self, reader: LoadImage) -> None:
        self.backend_args = reader.backend_args
        self.turning, self.as_stored = reader, copy(reader)
        self.as_stored.color_type = f'{reader.color_type}_ignore_orientation'

    def transform(self, results: dict) -> dict | None:
        """Read ``results['img_path']``."""
        loaded = self.turning(results)
        if loaded is None:
            return None
        annotated = results['height'], results['width']
        # A square image tells nothing; it is turned, as most who annotate see it.
        if loaded['ori_shape'] == annotated[::-1] != annotated:
            loaded = self.as_stored(results)
        if loaded['ori_shape'] != annotated:
            height, width = loaded['ori_shape']
            raise UserError(
                f'{results["img_path"]}: is {width} x {height}, and its annotations say '
                f"{annotated[1]} x {annotated[0]}: correct 'width', 'height' and the boxes"
            )
        return loaded
