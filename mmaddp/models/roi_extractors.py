"""Features of regions in full precision from a network in half precision."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor as MMDetSingleRoIExtractor
from torch import Tensor

from mmaddp.registry import MODELS


@MODELS.register_module()
class SingleRoIExtractor(MMDetSingleRoIExtractor):
    """MMDetection's extractor, in float32.

    MMDetection rounds the regions to the dtype of the maps. bfloat16 tells coordinates between 512
    and 1024 apart in steps of 4 pixels only, and mmcv's compiled RoIAlign lacks it. Arguments are
    those of MMDetection's extractor.
    """

    def forward(
        self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None
    ) -> Tensor:
        """Maps (B, C, h, w) of all levels, regions (N, 5) -> (N, C, size, size), float32."""
        return super().forward([level.float() for level in feats], rois, roi_scale_factor)
