"""Transforms of the depth protocols, which MMSegmentation lacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import Resize

from mmaddp.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CropBox(BaseTransform):
    """Cut the same box out of each image and of its maps, such as NYU's white border.

    The box becomes the original image: predictions are compared within it.

    Args:
        box: (left, top, right, bottom) in pixels; right and bottom do not belong to it.
    """

    def __init__(self, box: Sequence[int]) -> None:
        self.left, self.top, self.right, self.bottom = box

    def transform(self, results: dict) -> dict:
        """Crop."""
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = results[key][self.top : self.bottom, self.left : self.right]
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class ColorAugmentation(BaseTransform):
    """Random gamma, brightness and color of the image, as in the depth probes of DINOv2.

    An image of values in [0, 255] becomes ``clip(c b image^g, 0, 255)``, float32.

    Args:
        prob: How often.
        gamma_range: Range of g.
        brightness_range: Range of b.
        color_range: Range of c, one for each channel.
    """

    def __init__(
        self,
        prob: float = 0.5,
        gamma_range: Sequence[float] = (0.9, 1.1),
        brightness_range: Sequence[float] = (0.9, 1.1),
        color_range: Sequence[float] = (0.9, 1.1),
    ) -> None:
        self.prob, self.gamma_range = prob, gamma_range
        self.brightness_range, self.color_range = brightness_range, color_range

    def transform(self, results: dict) -> dict:
        """Change the image, or leave it."""
        if np.random.rand() < self.prob:
            image = results['img'].astype(np.float32) ** np.random.uniform(*self.gamma_range)
            gain = np.random.uniform(*self.brightness_range)
            image = image * gain * np.random.uniform(*self.color_range, size=3)
            results['img'] = image.clip(0, 255).astype(np.float32)
        return results


@TRANSFORMS.register_module()
class RandomScale(BaseTransform):
    """Resize an image and its maps by a random factor of its own size, as Pixio does.

    MMSegmentation's ``RandomResize`` resizes to a factor of one size for all images.

    Args:
        ratio_range: Range of the factor.
    """

    def __init__(self, ratio_range: Sequence[float] = (0.5, 2.0)) -> None:
        self.ratio_range = ratio_range

    def transform(self, results: dict) -> dict:
        """Resize."""
        factor = np.random.uniform(*self.ratio_range)
        return Resize(scale_factor=float(factor), keep_ratio=True)(results)
