"""The transform that reads images of all types, for pipelines of MMCV."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.fileio import get

from mmaddp.registry import TRANSFORMS

from .image_files import decode_image


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """MMCV's loading, for images of all types, except those that the data set has read itself."""

    @classmethod
    def like(cls, reader: LoadImageFromFile) -> LoadImage:
        """One with the options of MMCV's transform."""
        names = ('to_float32', 'color_type', 'imdecode_backend', 'backend_args')
        return cls(**{name: getattr(reader, name) for name in names})

    def transform(self, results: dict) -> dict:
        """Read ``results['img_path']`` unless ``results['img']`` is there."""
        if 'img' in results:
            return results
        content = get(results['img_path'], backend_args=self.backend_args)
        image = decode_image(content, self.color_type, self.imdecode_backend)
        if self.to_float32:
            image = image.astype(np.float32)
        size = image.shape[:2]
        return {**results, 'img': image, 'img_shape': size, 'ori_shape': size}
