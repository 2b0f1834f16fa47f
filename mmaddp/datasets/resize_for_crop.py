"""Large-scale jitter that resizes only what its crop keeps."""

from __future__ import annotations

import math
from typing import Any

import mmcv
import numpy as np
from mmdet.datasets.transforms import Resize
from mmdet.structures.mask import BitmapMasks
from PIL import Image

from mmaddp.registry import TRANSFORMS
from mmaddp.utils import UserError


@TRANSFORMS.register_module()
class ResizeForCrop(Resize):
    """MMDetection's Resize, for a RandomCrop that follows at once.

    Image and masks only note their new size. The crop then resizes the part that it keeps: pixels
    are those of Pillow's bilinear resizing up to one gray level, masks are equal::

        dict(type='RandomResize', resize_type='mmaddp.ResizeForCrop', scale=(1024, 1024), …),
        dict(type='RandomCrop', crop_size=(1024, 1024), …),

    Raises:
        UserError: Another backend, interpolation or ``keep_ratio=False``.
    """

    def __init__(
        self, *args: Any, keep_ratio: bool = True, backend: str = 'pillow', **kwargs: Any
    ) -> None:
        super().__init__(*args, keep_ratio=keep_ratio, backend=backend, **kwargs)
        if (backend, self.interpolation, keep_ratio) != ('pillow', 'bilinear', True):
            raise UserError(
                "mmaddp.ResizeForCrop: has backend='pillow', interpolation='bilinear' and "
                'keep_ratio=True; use the default resize_type for others'
            )

    def _resize_img(self, results: dict) -> None:
        height, width = results['img'].shape[:2]
        new_width, new_height = mmcv.rescale_size((width, height), results['scale'])
        results['img'] = ResizedImage(results['img'], new_height, new_width)
        results['img_shape'] = new_height, new_width
        results['scale_factor'] = new_width / width, new_height / height
        results['keep_ratio'] = True

    def _resize_masks(self, results: dict) -> None:
        masks = results.get('gt_masks')
        if isinstance(masks, BitmapMasks):
            results['gt_masks'] = ResizedMasks(masks, *results['img_shape'])
        else:
            super()._resize_masks(results)


class ResizedImage:
    """An image (h, w, 3) uint8 of a new size, of which a slice is resized when it is taken."""

    def __init__(self, image: np.ndarray, height: int, width: int) -> None:
        self.image, self.shape = image, (height, width, *image.shape[2:])

    def __getitem__(self, index: tuple) -> np.ndarray:
        """The pixels of ``[top:bottom, left:right]``."""
        (old_height, _), (new_height, new_width) = self.image.shape[:2], self.shape[:2]
        rows, columns = (range(n)[part] for n, part in zip(self.shape, index[:2]))
        scale = old_height / new_height
        # The filter reaches one pixel of the smaller image; one more for rounding.
        reach = max(scale, 1) + 1
        first = max(math.floor(rows.start * scale - reach), 0)
        last = min(math.ceil(rows.stop * scale + reach), old_height)
        # Pillow resizes rows, then columns, and rounds in between. It stores a box in float32,
        # which can change a gray level: only the second step has one, or two levels could change.
        band = Image.fromarray(self.image[first:last])
        band = band.resize((new_width, last - first), Image.Resampling.BILINEAR)
        band = band.crop((columns.start, 0, columns.stop, band.height))
        box = 0, rows.start * scale - first, band.width, rows.stop * scale - first
        size = len(columns), len(rows)
        return np.array(band.resize(size, Image.Resampling.BILINEAR, box))


class ResizedMasks:
    """Masks of a new size, resized to the nearest pixel when they are cropped."""

    def __init__(
        self, masks: BitmapMasks, height: int, width: int, index: Any = slice(None)
    ) -> None:
        self.masks, self.height, self.width, self.index = masks, height, width, index

    def __getitem__(self, index: np.ndarray) -> ResizedMasks:
        """Some of the masks."""
        return ResizedMasks(self.masks, self.height, self.width, index)

    def crop(self, box: np.ndarray) -> BitmapMasks:
        """The masks within (left, top, right, bottom)."""
        left, top, right, bottom = box
        rows = _nearest(self.masks.height, self.height)[top:bottom]
        columns = _nearest(self.masks.width, self.width)[left:right]
        # Columns of the rows that are read, then rows, which are copied as a whole.
        read = self.masks.masks[self.index, rows[0] : rows[-1] + 1]
        pixels = read.take(columns, axis=2).take(rows - rows[0], axis=1)
        return BitmapMasks(pixels, len(rows), len(columns))


def _nearest(old: int, new: int) -> np.ndarray:
    """For each of ``new`` pixels, that of ``old`` which OpenCV's nearest interpolation takes."""
    return np.minimum(np.floor(np.arange(new) * (1 / (new / old))).astype(int), old - 1)
