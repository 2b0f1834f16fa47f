"""From a backbone's coarse last map to a finer grid."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaddp.registry import MODELS
from mmaddp.utils import UserError


@MODELS.register_module()
class PixelShuffleNeck(BaseModule):
    """Spreads the channels of the last map over a grid ``scale`` times as fine.

    A convolutional encoder ends at stride 32, 8 x 8 places of a 256 x 256 image, where ADDP's
    tokens lie on a grid of 16 x 16. Its stage of stride 16 would fit, and would leave the last
    stage, with more than half of a ResNet-50's weights, without pre-training. So each place of
    the last map gives its channels in groups to ``scale`` x ``scale`` places, and the decoder's
    embedding projects them. The paper does not say how it meets the grid; by its table 8 there
    are 90M parameters beside the encoder, as with ViT-B, which leaves no room for a layer here.

    Args:
        in_channels: Channels of the backbone's last map, a multiple of ``scale ** 2``.
        scale: Stride of the last map over that of the tokens.
        init_cfg: MMEngine's.

    Raises:
        UserError: ``in_channels`` is no multiple of ``scale ** 2``.
    """

    def __init__(self, in_channels: int, scale: int = 2, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if in_channels % scale**2:
            raise UserError(
                f'neck.in_channels={in_channels} is no multiple of {scale**2}, the places that '
                f'scale={scale} makes of one'
            )
        self.embed_dims = in_channels // scale**2
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor]:
        """(…, (B, C, h, w)) -> ((B, C / scale ** 2, scale * h, scale * w),)."""
        return (self.shuffle(features[-1]),)
