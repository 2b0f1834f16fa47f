"""A backbone with the interface that probing expects of a pre-trainer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from ..backbones import BaseEncoder


class PlainEncoder(nn.Module):
    """An encoder of clean images with the interface of a :class:`Pretrainer` for its features.

    Args:
        encoder: The backbone; a denoising one has its ``time``.
    """

    num_levels = 0
    input_parts = ()

    def __init__(self, encoder: BaseEncoder) -> None:
        super().__init__()
        self.data_preprocessor = MODELS.build(encoder.pixel_values)
        self.encoder_module = encoder

    @property
    def layers(self) -> list[str]:
        """Names of the layers."""
        return self.encoder_module.layers

    def channels(self, layer: str) -> int:
        """Channels of a layer's map."""
        return self.encoder_module.channels(layer)

    def time(self, level: None) -> float | None:
        """Time input of a denoising backbone."""
        return self.encoder_module.time

    def check_level(self, level: None) -> None:
        """Refuse noise levels."""
        if level is not None:
            name = type(self.encoder_module).__name__
            raise UserError(f'noise level {level}: {name} has no noise levels')

    def encoder_inputs(self, images: Tensor) -> Tensor:
        """The first layer's input for images (B, 3, H, W)."""
        return self.encoder_module.network_input(images)

    def forward_intermediates(
        self, x: Tensor, layers: Sequence[str], level: None = None, noise: None = None
    ) -> dict[str, Tensor]:
        """Maps (B, C, h, w) by layer."""
        return self.encoder_module.forward_intermediates(x, layers, self.time(level))
