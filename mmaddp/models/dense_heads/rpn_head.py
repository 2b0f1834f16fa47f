"""Region proposals in full precision from a network in half precision."""

from __future__ import annotations

from mmdet.models.dense_heads import RPNHead as MMDetRPNHead
from torch import Tensor

from mmaddp.registry import MODELS


@MODELS.register_module()
class RPNHead(MMDetRPNHead):
    """MMDetection's RPN head, with scores and deltas in float32.

    MMDetection decodes with anchors of the scores' dtype. Under autocast that is half precision,
    and bfloat16 tells coordinates between 512 and 1024 apart in steps of 4 pixels only.
    detectron2 decodes in float32 whatever the network computes in. Arguments and parameters are
    those of MMDetection's head.
    """

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """One level, (B, C, h, w) -> scores (B, A, h, w) and deltas (B, 4A, h, w), float32."""
        scores, deltas = super().forward_single(x)
        return scores.float(), deltas.float()
