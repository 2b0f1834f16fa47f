"""Data sets of torchvision's, for configs of OpenMMLab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torchvision
from mmpretrain.datasets import BaseDataset
from PIL import Image

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError


@DATASETS.register_module()
class TorchvisionDataset(BaseDataset):
    """A classification data set that torchvision reads and MMPretrain does not.

    Images are read when they are asked for and given as ``img``, uint8 (H, W, 3) in BGR as
    MMCV loads files, so that the pipeline must not load them again (:class:`mmaddp.LoadImage`
    does not). Nothing is ever downloaded.

    Args:
        name: The class in ``torchvision.datasets``, such as 'SVHN'.
        data_root: Its ``root``.
        options: Its further arguments, such as ``dict(split='train')``.
        labels: The labels that torchvision gives, in the order of the class indices that the
            classifier is to learn; None takes torchvision's as indices.
        **kwargs: As for :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        UserError: torchvision has no such data set, its files are not all in ``data_root``, or
            an image has a label that is none of ``labels``.
    """

    def __init__(
        self,
        name: str,
        data_root: str,
        options: dict | None = None,
        labels: Sequence | None = None,
        **kwargs: Any,
    ) -> None:
        self.name, self.options = name, dict(options or {})
        self.index_of = None if labels is None else {label: i for i, label in enumerate(labels)}
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Open the data set; an entry for each image says its place in it."""
        self.images = self._open()
        return [{'place': place} for place in range(len(self.images))]

    def get_data_info(self, idx: int) -> dict:
        """Read an image and its label."""
        info = super().get_data_info(idx)
        image, label = self.images[info.pop('place')]
        array = to_bgr(image)
        size = array.shape[:2]
        return {
            **info,
            'img': array,
            'img_shape': size,
            'ori_shape': size,
            'gt_label': self._class_index(label),
        }

    def _open(self) -> Any:
        known = getattr(torchvision.datasets, self.name, None)
        if known is None:
            raise UserError(f'TorchvisionDataset: torchvision.datasets has no {self.name!r}')
        try:
            return known(self.data_root, **self.options)
        except (RuntimeError, OSError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0].split('. You ')[0].rstrip('.')
            raise UserError(
                f'{self.data_root}: torchvision cannot read {self.name} there ({reason}): put '
                'its files where its documentation says, nothing is downloaded'
            ) from error

    def _class_index(self, label: Any) -> int:
        if self.index_of is None:
            return int(label)
        if label not in self.index_of:
            raise UserError(
                f'{self.data_root}: an image of {self.name} has the label {label!r}, which is none '
                f'of labels={list(self.index_of)}'
            )
        return self.index_of[label]


def to_bgr(image: Image.Image) -> np.ndarray:
    """A picture as MMCV loads it: uint8 (H, W, 3), BGR."""
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])
