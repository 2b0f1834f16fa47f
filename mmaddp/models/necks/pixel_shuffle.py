"""Neck from a backbone's coarse last map to a finer grid."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaddp.registry import MODELS


@MODELS.register_module()
class PixelShuffleNeck(BaseModule):
    """Spreads the channels of the last map over a grid ``scale`` times as fine.

    A convolutional encoder ends at stride 32, while ADDP's tokens have stride 16. The map of stride
    16 would fit, but leave the last stage, more than half of a ResNet-50's weights, without
    pre-training. So each position of the last map spreads its channels over ``scale`` x ``scale``
    positions. The paper does not say how it does this; its table 8 leaves no parameters for it.

    Args:
        in_channels: Channels of the backbone's last map, a multiple of ``scale ** 2``.
        scale: Stride of the last map over that of the tokens.
        init_cfg: MMEngine's.
    """

    def __init__(self, in_channels: int, scale: int = 2, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.embed_dims = in_channels // scale**2
        # (B, C, h, w) -> (B, C / s^2, s h, s w), without parameters
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor]:
        """(…, (B, C, h, w)) -> ((B, C / scale ** 2, scale * h, scale * w),)."""
        return (self.shuffle(features[-1]),)
