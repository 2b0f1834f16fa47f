"""VQGAN's discriminator of image patches."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaddp.registry import MODELS

KERNEL = 4
SLOPE = 0.2
MAX_MULTIPLIER = 8
NORM_GROUPS = 32


@MODELS.register_module()
class PatchDiscriminator(BaseModule):
    """pix2pix's stack of strided convolutions; each score sees a patch of the image.

    It has group instead of batch norms, so a score depends only on its own image, and several
    processes compute the same as one.

    Args:
        base_channels: Channels of the first layer, a multiple of 16; each layer doubles them, up to
            a factor of 8.
        num_layers: Layers that halve the resolution; with 3 a score sees 70 x 70 pixels.
        init_cfg: As for any module of MMEngine.
    """

    def __init__(
        self, base_channels: int = 64, num_layers: int = 3, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        widths = [base_channels * min(2**i, MAX_MULTIPLIER) for i in range(num_layers + 1)]
        layers = [nn.Conv2d(3, widths[0], KERNEL, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        for index, (before, after) in enumerate(zip(widths, widths[1:]), start=1):
            # The last normed layer keeps the resolution, as pix2pix's does.
            stride = 2 if index < num_layers else 1
            layers += [
                nn.Conv2d(before, after, KERNEL, stride=stride, padding=1, bias=False),
                nn.GroupNorm(NORM_GROUPS, after),
                nn.LeakyReLU(SLOPE),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, KERNEL, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """Score images (B, 3, H, W) in [0, 1]: (B, 1, h, w), high where they look real."""
        return self.layers(2 * images - 1)  # to [-1, 1]

    def init_weights(self) -> None:
        """Initialize convolutions with a std of 0.02, as pix2pix does."""
        if self.is_init:
            return
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.02)
        super().init_weights()
