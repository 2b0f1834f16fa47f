"""Transforms that OpenMMLab lacks."""

from __future__ import annotations

import numpy as np
from mmpretrain.datasets import RandomResizedCrop as MMPretrainRandomResizedCrop

from mmaddp.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomResizedCrop(MMPretrainRandomResizedCrop):
    """MMPretrain's, which also records ``results['crop_box']``.

    The box is (x, y, width, height) in pixels of the loaded image.
    """

    def rand_crop_params(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """Sample the crop: top, left, height and width."""
        self._last = super().rand_crop_params(img)
        return self._last

    def transform(self, results: dict) -> dict:
        """Crop, resize and record the box."""
        results = super().transform(results)
        top, left, height, width = self._last
        results['crop_box'] = (left, top, width, height)
        return results
