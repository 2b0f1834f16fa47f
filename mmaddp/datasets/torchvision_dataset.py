"""torchvision's data sets in configs of OpenMMLab."""

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
    """A classification data set of torchvision that MMPretrain lacks.

    Images are read on demand as ``img``, uint8 (H, W, 3) in BGR. Use :class:`mmaddp.LoadImage` in
    the pipeline, which does not load them again. Nothing is downloaded.

    Args:
        name: The class in ``torchvision.datasets``, such as 'SVHN'.
        data_root: Its ``root``.
        options: Its further arguments, such as ``dict(split='train')``.
        labels: torchvision's labels in the order of the class indices to learn; None takes
            torchvision's labels as indices.
        **kwargs: As for :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        UserError: torchvision cannot read the data set in ``data_root``.
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
        # Such as CLEVR's counts 3 to 10, which become classes 0 to 7.
        self.index_of = None if labels is None else {label: i for i, label in enumerate(labels)}
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Open the data set; each image's entry has its index."""
        self.images = self._open()
        return [{'index': index} for index in range(len(self.images))]

    def get_data_info(self, idx: int) -> dict:
        """Read an image and its label."""
        info = super().get_data_info(idx)
        image, label = self.images[info.pop('index')]
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
        dataset = getattr(torchvision.datasets, self.name)
        try:
            return dataset(self.data_root, **self.options)
        except (RuntimeError, OSError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0].split('. You ')[0].rstrip('.')
            raise UserError(
                f'{self.data_root}: torchvision cannot read {self.name} there ({reason}): '
                'download it with torchvision first'
            ) from error

    def _class_index(self, label: Any) -> int:
        return int(label) if self.index_of is None else self.index_of[label]


def to_bgr(image: Image.Image) -> np.ndarray:
    """An image as MMCV loads it: uint8 (H, W, 3), BGR."""
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])
