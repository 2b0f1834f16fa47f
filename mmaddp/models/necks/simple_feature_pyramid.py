"""ViTDet's simple feature pyramid, from an encoder's last map or from several."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.registry import MODELS
from mmaddp.utils import UserError, check_choice

from ..layers import LN2d

SCALES = (4, 2, 1, 0.5, 0.25, 0.125)


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Pyramid of strides 4, 8, 16, 32 and 64, by default from a map of stride 16 (ViTDet).

    ViTDet takes only the last map. ``in_indices`` gives each level its own: DARL's best features
    are in the middle (section 4.3, appendix B.1), and a UNet's maps have several strides. A level
    resizes its map by transposed convolutions or max pooling, then applies a 1 x 1 and a 3 x 3
    convolution, each with a LayerNorm. Levels beyond the scale factors subsample the previous one.

    Args:
        in_channels: Channels of the encoder's map.
        out_channels: Channels of every level.
        num_outs: Number of levels, at least as many as scale factors.
        scale_factors: Size of each level over that of its map: 4, 2, 1, 0.5, 0.25 or 0.125.
        in_indices: Index of the encoder's map for each scale factor; None for the last map.
        init_cfg: MMEngine's.

    Raises:
        UserError: An unknown scale factor, fewer levels than scale factors, or another number of
            ``in_indices``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_outs: int = 5,
        scale_factors: Sequence[float] = (4.0, 2.0, 1.0, 0.5),
        in_indices: Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        # ViTDet, section 3: all levels come from the last map, which is the strongest.
        self.in_indices = tuple(in_indices or len(scale_factors) * (-1,))
        if num_outs < len(scale_factors) or len(self.in_indices) != len(scale_factors):
            raise UserError(
                f'num_outs={num_outs} and in_indices={self.in_indices} do not fit '
                f'{len(scale_factors)} scale_factors'
            )
        self.num_extra_levels = num_outs - len(scale_factors)
        self.levels = nn.ModuleList(
            PyramidLevel(in_channels, out_channels, scale) for scale in scale_factors
        )

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps (B, C, h, w) -> the levels (B, out_channels, s * h, s * w), finest first."""
        levels = [level(features[i]) for level, i in zip(self.levels, self.in_indices)]
        # Coarser levels, as p6 of FPN.
        for _ in range(self.num_extra_levels):
            levels.append(F.max_pool2d(levels[-1], kernel_size=1, stride=2))
        return tuple(levels)


class PyramidLevel(nn.Module):
    """One level: resize, 1 x 1 convolution, 3 x 3 convolution.

    Args:
        in_channels: Channels of the encoder's map.
        out_channels: Channels of the level.
        scale: 4, 2, 1, 0.5, 0.25 or 0.125.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: float) -> None:
        super().__init__()
        self.resize, channels = build_resize(in_channels, scale)
        # No activation between the convolutions, as in detectron2.
        self.lateral = ConvNorm(channels, out_channels, kernel_size=1)
        self.output = ConvNorm(out_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, out_channels, s * h, s * w)."""
        return self.output(self.lateral(self.resize(x)))


class ConvNorm(nn.Conv2d):
    """Convolution without bias, followed by a LayerNorm over channels."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: int) -> None:
        super().__init__(in_channels, out_channels, bias=False, **kwargs)
        self.norm = LN2d(out_channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, h, w)."""
        return self.norm(super().forward(x))


def build_resize(channels: int, scale: float) -> tuple[nn.Module, int]:
    """The layers that resize a map by ``scale``, and the channels of their output."""
    check_choice('scale_factors', scale, SCALES)
    if scale == 4:
        # detectron2's SimpleFeaturePyramid: C -> C/2 -> C/4, with a norm and GELU between the two.
        half, quarter = channels // 2, channels // 4
        upsample = nn.ConvTranspose2d(channels, half, kernel_size=2, stride=2)
        further = nn.ConvTranspose2d(half, quarter, kernel_size=2, stride=2)
        return nn.Sequential(upsample, LN2d(half, eps=1e-6), nn.GELU(), further), quarter
    if scale == 2:
        upsample = nn.ConvTranspose2d(channels, channels // 2, kernel_size=2, stride=2)
        return nn.Sequential(upsample), channels // 2
    if scale == 1:
        return nn.Identity(), channels
    return nn.MaxPool2d(int(1 / scale)), channels
