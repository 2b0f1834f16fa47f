"""Semantic segmentation by linear layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.registry import MODELS

from .heads import DenseHead, LinearLayer, LossAtOnce, generator_of


class SegmentationHead(DenseHead):
    """A head whose output (B, num_classes, h, w) scores each class at each position."""

    metrics = {'mIoU': 'greater', 'mAcc': 'greater', 'aAcc': 'greater'}
    prediction = 'pred_sem_seg_by_name'

    @staticmethod
    def targets(data_samples: Sequence[BaseDataElement]) -> Tensor:
        """Class indices (B, H, W), int64."""
        return torch.cat([sample.gt_sem_seg.data for sample in data_samples]).long()

    def predict(self, output: Tensor, data_samples: Sequence[BaseDataElement]) -> list[Tensor]:
        """Labels (H, W) at the original size."""
        return [
            self.at_original_size(one, sample).argmax(0)
            for one, sample in zip(output, data_samples)
        ]


@MODELS.register_module()
class LinearSegmentation(SegmentationHead):
    """BatchNorm and a 1 x 1 convolution, whose logits are resized to the labels (DINOv2).

    Args:
        channels: C of the features.
        num_classes: Number of classes.
        batch_norm: Whether the BatchNorm is there.
        dropout: Probability of zeroing a channel in front of the BatchNorm.
        init_std: As for :class:`LinearLayer`.
        ignore_index: Label of pixels without a class.
        avg_non_ignore: Average the loss over the pixels with a class; over all pixels otherwise,
            which is MMSegmentation's default.
        align_corners: As for :class:`DenseHead`.
    """

    title = 'linear segmentation'

    def __init__(
        self,
        channels: int,
        num_classes: int,
        batch_norm: bool = True,
        dropout: float = 0.0,
        init_std: float | None = 0.01,
        ignore_index: int = 255,
        avg_non_ignore: bool = True,
        align_corners: bool = False,
    ) -> None:
        super().__init__(align_corners)
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.dropout, self.avg_non_ignore = dropout, avg_non_ignore
        norm = nn.BatchNorm2d(channels) if batch_norm else None
        self.linear = LinearLayer(channels, num_classes, norm, init_std)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> logits (B, num_classes, h, w)."""
        if self.training and self.dropout:
            features = self.drop_channels(features)
        return self.linear(features)

    def drop_channels(self, features: Tensor) -> Tensor:
        """Dropout of whole channels; its random numbers depend on the step alone."""
        generator = generator_of('dropout')
        kept = torch.rand(features.shape[:2], generator=generator) >= self.dropout
        return features * (kept / (1 - self.dropout)).to(features)[:, :, None, None]

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """The cross entropy at the size of the labels."""
        return LossAtOnce.apply(output, lambda logits: self.cross_entropy(logits, targets))

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, K, h, w) against labels (B, H, W)."""
        logits = self.resize(logits, targets.shape[-2:])
        total = F.cross_entropy(logits, targets, ignore_index=self.ignore_index, reduction='sum')
        if not self.avg_non_ignore:
            return total / targets.numel()
        # A batch may have no labeled pixel at all.
        return total / (targets != self.ignore_index).sum().clamp(min=1)
