"""Classification by linear layers."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.registry import MODELS

from .heads import LinearLayer, VectorHead


@MODELS.register_module()
class LinearClassifier(VectorHead):
    """A linear classifier of averaged features (section 3.2 of DDAE; appendix B.1 of DARL).

    Args:
        channels: C of the features.
        num_classes: Number of classes.
        batch_norm: Normalize features by batch statistics, without scale and shift, as in MAE's
            linear probing.
        init_std: As for :class:`LinearLayer`. The problem is convex: zeros are as good a start.
        label_smoothing: Share of the target that is spread over all classes.
    """

    title = 'linear classification'
    metrics = {'accuracy': 'greater'}

    def __init__(
        self,
        channels: int,
        num_classes: int,
        batch_norm: bool = False,
        init_std: float | None = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes, self.label_smoothing = num_classes, label_smoothing
        # MAE's main_linprobe.py: no scale and shift, which the linear layer would repeat.
        norm = nn.BatchNorm1d(channels, affine=False, eps=1e-6) if batch_norm else None
        self.linear = LinearLayer(channels, num_classes, norm, init_std)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) -> scores (B, num_classes)."""
        return self.linear(features)

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """The cross entropy, averaged over the batch."""
        return F.cross_entropy(output, targets, label_smoothing=self.label_smoothing)
