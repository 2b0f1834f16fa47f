"""Decode heads for fine-tuning and frozen backbones: linear, DPT and UperNet, for depth too."""

from __future__ import annotations

from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import DPTHead as MMSegDPTHead
from mmseg.models.decode_heads import UPerHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.registry import MODELS

from .probing.depth import depth_loss, depth_of_logits


@MODELS.register_module()
class LinearHead(BaseDecodeHead):
    """BatchNorm and a 1 x 1 convolution on one map, or on several that are resized and joined.

    This is the head of :class:`mmaddp.models.LinearSegmentation` for a backbone.

    Args:
        in_channels: Channels of the map, or of each map with ``input_transform='resize_concat'``.
        norm_cfg: MMCV's.
        kwargs: As for MMSegmentation's ``BaseDecodeHead``, without ``channels``.
    """

    def __init__(
        self, in_channels: int | list[int], norm_cfg: dict | None = None, **kwargs: Any
    ) -> None:
        channels = in_channels if isinstance(in_channels, int) else sum(in_channels)
        if not isinstance(in_channels, int):
            kwargs.setdefault('input_transform', 'resize_concat')
        kwargs.setdefault('dropout_ratio', 0.0)
        super().__init__(in_channels, channels, norm_cfg=norm_cfg, **kwargs)
        sync = (norm_cfg or {}).get('type') == 'SyncBN'
        self.norm = nn.SyncBatchNorm(channels) if sync else nn.BatchNorm2d(channels)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Maps -> logits (B, K, h, w)."""
        return self.cls_seg(self.norm(self._transform_inputs(inputs)))


@MODELS.register_module()
class DPTHead(MMSegDPTHead):
    """MMSegmentation's DPT head for backbones that give maps without class tokens.

    Args:
        embed_dims: Channels of the maps of a plain ViT, which the head resizes to four strides.
            A list holds the channels of each map of a hierarchical network, which have these
            strides already.
        kwargs: As for MMSegmentation's head.
    """

    def __init__(self, embed_dims: int | list[int] = 768, **kwargs: Any) -> None:
        widths = [embed_dims] if isinstance(embed_dims, int) else embed_dims
        super().__init__(widths[-1], **kwargs)
        if len(widths) > 1:
            blocks = self.reassemble_blocks
            outputs = [project.conv.out_channels for project in blocks.projects]
            blocks.projects = nn.ModuleList(
                ConvModule(width, output, 1, act_cfg=None) for width, output in zip(widths, outputs)
            )
            blocks.resize_layers = nn.ModuleList(nn.Identity() for _ in outputs)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Four maps of one stride -> logits (B, K, 8 h, 8 w), twice the size of the finest."""
        # The readout 'ignore' never looks at the token.
        return super().forward([(x, x.mean((2, 3))) for x in inputs])


class DepthHead(BaseDecodeHead):
    """Makes a decode head predict depth by :class:`mmaddp.models.LinearDepth`'s bins and losses.

    Mixed in before a decode head, whose classes are the bins.

    Args:
        num_bins: Number of bins.
        min_depth: The nearest depth in meters.
        max_depth: The farthest depth in meters.
        variance_focus: As for :class:`mmaddp.models.LinearDepth`.
        gradient_weight: As for :class:`mmaddp.models.LinearDepth`.
        kwargs: The decode head's.
    """

    def __init__(
        self,
        *args: Any,
        num_bins: int = 256,
        min_depth: float = 1e-3,
        max_depth: float = 10.0,
        variance_focus: float = 0.85,
        gradient_weight: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, num_classes=num_bins, **kwargs)
        # What MMSegmentation's sliding windows add up is the depth.
        self.out_channels = 1
        self.min_depth, self.max_depth = min_depth, max_depth
        self.variance_focus, self.gradient_weight = variance_focus, gradient_weight
        bins = torch.linspace(min_depth, max_depth, num_bins)
        self.register_buffer('bins', bins, persistent=False)

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """The losses of logits (B, num_bins, h, w), at the size of the labels."""
        true = torch.cat([sample.gt_depth_map.data for sample in batch_data_samples]).float()
        depth = self.resize(depth_of_logits(seg_logits, self.bins), true.shape[-2:])
        losses = depth_loss(
            depth[:, 0],
            true,
            (self.min_depth, self.max_depth),
            self.variance_focus,
            self.gradient_weight,
        )
        return dict(zip(('loss_depth', 'loss_grad'), losses))

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Depths (B, 1, H, W) of the padded image."""
        depth = depth_of_logits(seg_logits, self.bins)
        return super().predict_by_feat(depth, batch_img_metas).clamp(self.min_depth, self.max_depth)

    def resize(self, depth: Tensor, size: tuple[int, int]) -> Tensor:
        """Depths (B, 1, h, w) at another size."""
        return F.interpolate(depth, size, mode='bilinear', align_corners=self.align_corners)


@MODELS.register_module()
class LinearDepthHead(DepthHead, LinearHead):
    """Depth by a linear layer."""


@MODELS.register_module()
class DPTDepthHead(DepthHead, DPTHead):
    """Depth by DPT."""


@MODELS.register_module()
class UPerDepthHead(DepthHead, UPerHead):
    """Depth by UperNet."""
