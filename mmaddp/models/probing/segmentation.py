"""Semantic segmentation by linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmaddp.registry import MODELS

from ..layers.positions import resize_matrix
from .heads import DenseHead, KnownGradient, LinearLayer, generator_of

# How many scores are computed at once, on the CPU (True) and elsewhere.
IN_CACHE = {True: 2**19, False: 2**26}


class Labels(NamedTuple):
    """The labels of a batch.

    Attributes:
        classes: Class indices (B, 1, H, W); ignored pixels have 0.
        weights: Weights of the pixels in the loss (B, 1, H, W); ignored pixels have 0.
    """

    classes: Tensor
    weights: Tensor


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

    def prepare(self, targets: Tensor) -> Labels:
        """See :class:`ProbeHead`."""
        known = targets != self.ignore_index
        # A batch may have no labeled pixel at all.
        count = known.sum().clamp(min=1) if self.avg_non_ignore else targets.numel()
        return Labels((targets * known)[:, None], (known / count)[:, None])

    def loss(self, output: Tensor, targets: Labels) -> Tensor:
        """The cross entropy at the size of the labels."""
        return KnownGradient.apply(output, *self.cross_entropy(output.detach(), targets))

    @torch.no_grad()
    def cross_entropy(self, logits: Tensor, targets: Labels) -> tuple[Tensor, Tensor]:
        """The loss of logits (B, K, h, w), and its gradient (B, K, h, w).

        Resizing is a product with two matrices, and the gradient of a cross entropy is known. Both
        are computed for a few images at a time, whose logits fit into the cache. This is several
        times as fast as ``F.interpolate``, ``F.cross_entropy`` and their backward passes.
        """
        size, device = targets.classes.shape[-2:], logits.device.type
        rows, columns = (
            resize_matrix(*sides, 'linear', self.align_corners).to(logits.device)
            for sides in zip(logits.shape[-2:], size)
        )
        step = max(1, IN_CACHE[device == 'cpu'] // (logits.shape[1] * size.numel()))
        total, gradients = 0.0, []
        with torch.autocast(device, enabled=False):
            for part, classes, weights in zip(*(one.split(step) for one in (logits, *targets))):
                # The log softmax of R z C^T. The gradient of the loss is R^T (softmax - one-hot) C,
                # with the weights of the pixels.
                scores = (rows @ part.float() @ columns.T).log_softmax(1)
                own = scores.gather(1, classes)
                total = total - (own * weights).sum()
                scores = scores.exp_().scatter_(1, classes, own.exp_().sub_(1)).mul_(weights)
                gradients.append(rows.T @ scores @ columns)
        return total, torch.cat(gradients)
