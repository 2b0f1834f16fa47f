"""Monocular depth by linear layers: DINOv2's bins and losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmaddp.registry import MODELS
from mmaddp.utils import check_range

from ..layers.positions import full_precision
from .heads import DenseHead, LinearLayer, loss_at_once

EPS = 1e-3  # keeps logarithms finite, as in AdaBins and DINOv2


@MODELS.register_module()
class LinearDepth(DenseHead):
    """A linear layer whose outputs weight bins of depth (DINOv2, section 7.4; AdaBins).

    The depth of a position is the mean of ``num_bins`` evenly spaced depths. Their weights are
    ``relu(logits) + 0.1``, normalized. Depths are then resized to the labels. With a single bin the
    depth is ``max_depth * sigmoid(logit)``, as Pixio has it, after the logits were resized.

    The loss is DINOv2's: with g = log(predicted) - log(true) over all pixels of the batch that have
    a depth, ``sqrt(Var(g) + 0.15 Mean(g)^2)``, plus ``gradient_weight`` times the differences of g
    between pixels two apart, at four scales (MegaDepth).

    Args:
        channels: C of the features.
        min_depth: The nearest depth in meters.
        max_depth: The farthest depth in meters.
        num_bins: Number of bins.
        batch_norm: Whether a BatchNorm precedes the linear layer.
        upsample: How much logits are resized before they weight the bins.
        variance_focus: Weight of Var(g) against Mean(g)^2: the loss is ``sqrt(Mean(g^2) -
            variance_focus Mean(g)^2)``. 0.85 is DINOv2's, 0.5 is that of :class:`mmseg.SiLogLoss`.
        gradient_weight: Weight of the gradient loss.
        warmup: First steps without Var(g), in which only the scale is learned.
        init_std: As for :class:`LinearLayer`.
        align_corners: As for :class:`DenseHead`.

    Raises:
        UserError: The depths are not in order.
    """

    title = 'linear depth'
    metrics = {'rmse': 'less', 'abs_rel': 'less', 'd1': 'greater'}
    percent = False
    prediction = 'pred_depth_map_by_name'

    def __init__(
        self,
        channels: int,
        min_depth: float = 1e-3,
        max_depth: float = 10.0,
        num_bins: int = 256,
        batch_norm: bool = False,
        upsample: int = 1,
        variance_focus: float = 0.85,
        gradient_weight: float = 0.5,
        warmup: int = 100,
        init_std: float | None = 0.01,
        align_corners: bool = False,
    ) -> None:
        super().__init__(align_corners)
        check_range('max_depth', max_depth, min_depth, above=True)
        self.min_depth, self.max_depth = min_depth, max_depth
        self.upsample, self.warmup = upsample, warmup
        self.variance_focus, self.gradient_weight = variance_focus, gradient_weight
        norm = nn.BatchNorm2d(channels) if batch_norm else None
        self.linear = LinearLayer(channels, num_bins, norm, init_std)
        bins = torch.linspace(min_depth, max_depth, num_bins)
        self.register_buffer('bins', bins, persistent=False)
        # In the checkpoint, so that a resumed training warms up no second time.
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))

    @staticmethod
    def targets(data_samples: Sequence[BaseDataElement]) -> Tensor:
        """Depths (B, H, W) in meters; 0 where there is none."""
        return torch.cat([sample.gt_depth_map.data for sample in data_samples]).float()

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> logits (B, num_bins, h, w)."""
        return self.linear(features)

    def at_size(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Depths (B, 1, H, W) of logits (B, num_bins, h, w)."""
        if len(self.bins) == 1:
            return self.max_depth * self.resize(logits, size).sigmoid()
        if self.upsample > 1:
            # DINOv2 resizes the features. A 1 x 1 convolution commutes with that.
            logits = self.resize(logits, [self.upsample * side for side in logits.shape[-2:]])
        return self.resize(depth_of_logits(logits, self.bins), size)

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """DINOv2's loss at the size of the labels; pixels beyond ``max_depth`` do not count."""
        # On the device: a number on the host would wait for it.
        warming = (self.steps < self.warmup).clone()
        self.steps += 1

        def loss(logits: Tensor) -> Tensor:
            depth = self.at_size(logits, targets.shape[-2:])[:, 0]
            limits = self.min_depth, self.max_depth
            weights = self.variance_focus, self.gradient_weight
            return sum(depth_loss(depth, targets, limits, *weights, warming))

        return loss_at_once(output, loss)

    def predict(self, output: Tensor, data_samples: Sequence[BaseDataElement]) -> list[Tensor]:
        """Depths (H, W) in meters at the original size."""
        return [
            self.at_original_size(one, sample)[0].clamp(self.min_depth, self.max_depth)
            for one, sample in zip(output, data_samples)
        ]


def depth_of_logits(logits: Tensor, bins: Tensor) -> Tensor:
    """The mean of depths of bins (K,), weighted by logits (B, K, h, w): (B, 1, h, w)."""
    # Half precision would round depths, and the loss takes their logarithms.
    with full_precision(logits):
        weights = logits.float().relu() + 0.1
        weights = weights / weights.sum(dim=1, keepdim=True)
        return torch.einsum('bkhw,k->bhw', weights, bins)[:, None]


def depth_loss(
    predicted: Tensor,
    true: Tensor,
    limits: tuple[float, float],
    focus: float = 0.85,
    gradient_weight: float = 0.5,
    warming: Tensor | bool = False,
) -> list[Tensor]:
    """The scale-invariant loss, and the weighted gradient loss unless its weight is 0.

    Args:
        predicted: (B, H, W) in meters.
        true: (B, H, W) in meters; 0 where there is no depth.
        limits: The nearest and the farthest depth.
        focus: See :func:`scale_invariant_loss`.
        gradient_weight: Weight of :func:`gradient_loss`.
        warming: See :func:`scale_invariant_loss`.
    """
    valid = (true > 0) & (true <= limits[1])
    error = log_error(predicted.clamp(min=limits[0]), true, valid)
    losses = [scale_invariant_loss(error, valid, focus, warming)]
    if gradient_weight:
        losses.append(gradient_weight * gradient_loss(error, valid))
    return losses


def log_error(predicted: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    """g = log(predicted) - log(true), (B, H, W); 0 where there is no depth."""
    # A masked log of 0 would still give an infinite gradient.
    true = torch.where(valid, true, torch.ones_like(true))
    return ((predicted + EPS).log() - (true + EPS).log()) * valid


def scale_invariant_loss(
    error: Tensor, valid: Tensor, focus: float = 0.85, warming: Tensor | bool = False
) -> Tensor:
    """sqrt(Var(g) + (1 - focus) Mean(g)^2) over all pixels of the batch (AdaBins, Eigen).

    Args:
        error: g (B, H, W), 0 where it does not count.
        valid: Where it counts.
        focus: In [0, 1]; at 1 the scale of depths does not matter.
        warming: Leave Var(g) out.
    """
    count = valid.sum().clamp(min=1)
    mean = error.sum() / count
    # Unbiased, as torch.var has it.
    variance = (((error - mean) * valid) ** 2).sum() / (count - 1).clamp(min=1)
    total = torch.where(torch.as_tensor(warming), 0.0, 1.0).to(error) * variance
    total = total + (1 - focus) * mean**2
    # The root has no gradient at 0, where nothing is left to learn.
    return torch.where(total > 0, total, torch.ones_like(total)).sqrt() * (total > 0)


def gradient_loss(error: Tensor, valid: Tensor) -> Tensor:
    """Absolute differences of g between pixels two apart, at strides 1, 2, 4 and 6.

    DINOv2's own code takes strides of 2i for i = 1, 2, 3; MegaDepth's paper has powers of 2. Each
    scale is divided by its number of valid pixels.
    """
    total = error.new_zeros(())
    for stride in (1, 2, 4, 6):
        g, mask = error[:, ::stride, ::stride], valid[:, ::stride, ::stride]
        down = (g[:, 2:] - g[:, :-2]).abs() * (mask[:, 2:] & mask[:, :-2])
        right = (g[:, :, 2:] - g[:, :, :-2]).abs() * (mask[:, :, 2:] & mask[:, :, :-2])
        total = total + (down.sum() + right.sum()) / mask.sum().clamp(min=1)
    return total
