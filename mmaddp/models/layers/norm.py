"""Layer normalization over the channels of feature maps."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.registry import MODELS


@MODELS.register_module()
class LN2d(nn.LayerNorm):
    """LayerNorm over the channel axis of (B, C, H, W), as ViTDet's pyramid and heads use it.

    It subclasses ``nn.LayerNorm`` so that MMCV's ``ConvModule`` and every weight-decay rule treat
    it as the norm that it is. Permuting to channels-last calls the fused kernel, which keeps two
    numbers a position for the backward pass instead of the intermediate maps.

    The result is contiguous again: MMCV's RoIAlign reads memory as (B, C, H, W) whatever the
    strides say.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, C, H, W) over C."""
        x = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return x.permute(0, 3, 1, 2).contiguous()
