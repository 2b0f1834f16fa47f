"""Necks from an encoder's map to one vector per image."""

from __future__ import annotations

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor

from mmaddp.registry import MODELS


@MODELS.register_module()
class PoolNormNeck(BaseModule):
    """Average pooling over the positions of the last map, then a norm.

    ADDP's fine-tuning uses a new LayerNorm; its linear probing a BatchNorm without affine
    parameters, as MAE's does.

    Args:
        in_channels: Channels C of the map.
        norm_cfg: The norm, ``dict(type='LN')`` or ``dict(type='BN1d', affine=False)``.
        init_cfg: MMEngine's.
    """

    def __init__(self, in_channels: int, norm_cfg: dict, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.norm = build_norm_layer(norm_cfg, in_channels)[1]

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor]:
        """(…, (B, C, h, w)) -> ((B, C),)."""
        # The encoder's map has patch tokens only, no class token.
        return (self.norm(features[-1].mean((2, 3))),)


@MODELS.register_module()
class LastTokenNeck(BaseModule):
    """The last patch's output as the vector of an image: DARL's read-out (section 4).

    Under a causal mask this output alone has seen the whole image.
    """

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor]:
        """(…, (B, C, h, w)) -> ((B, C),)."""
        # The bottom right patch is the last one of every order.
        return (features[-1][..., -1, -1],)
