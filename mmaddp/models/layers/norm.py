"""Layer normalization over the channels of feature maps."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.registry import MODELS


@MODELS.register_module()
class LN2d(nn.LayerNorm):
    """LayerNorm over the channel axis of (B, C, H, W), as ViTDet's pyramid and heads use it.

    It subclasses ``nn.LayerNorm`` so that MMCV's ``ConvModule`` and weight-decay rules recognize a
    norm.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, C, H, W) over C."""
        # Channels last, the fused kernel keeps two numbers per position for the backward pass.
        x = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        # MMCV's RoIAlign reads memory as (B, C, H, W), whatever the strides.
        return x.permute(0, 3, 1, 2).contiguous()
