"""The interface of a probe's task, and the linear layer that most tasks share."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.positions import full_precision


class ProbeHead(BaseModule, ABC):
    """A task of a probe: what a head learns of a cell's features, and how it is scored.

    A subclass is one task. :class:`GridProbe` builds one head for each cell, and calls the members
    below on features that the frozen encoder computes once for all cells.

    Attributes:
        title: Name of the task in tables and figures.
        metrics: Metrics by name, and whether a 'greater' or a 'less' value is better. The first
            ranks the cells. An evaluator reports each as ``METRIC/CELL``.
        percent: Whether the first metric is in percent.
        trained: Whether gradients train the head. Others :meth:`remember` the training set.
        prediction: Field of a data sample for the predictions, a dict by cell.
        dense: Whether the head predicts a map.
        set_by_model: Arguments that a config leaves to the probe.
    """

    title: str
    metrics: dict[str, str]
    percent: bool = True
    trained: bool = True
    dense: bool = False
    prediction: str
    set_by_model = ('channels',)

    @staticmethod
    @abstractmethod
    def reduce(maps: Tensor) -> Tensor:
        """What the head needs of a layer's map (B, C, h, w), float32."""

    @staticmethod
    @abstractmethod
    def concatenate(features: Sequence[Tensor]) -> Tensor:
        """Join the features of several layers along their channels."""

    @staticmethod
    @abstractmethod
    def pixel_features(images: Tensor) -> Tensor:
        """Features of the images themselves, for a control without an encoder."""

    @staticmethod
    @abstractmethod
    def pixel_channels(side: int) -> int:
        """Channels of :meth:`pixel_features` for images of a side."""

    @staticmethod
    @abstractmethod
    def targets(data_samples: Sequence[BaseDataElement]) -> Tensor:
        """The labels of a batch."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """The head's output, such as scores or logits."""

    def prepare(self, targets: Tensor) -> Any:
        """Prepare the labels of a batch, once for the losses of all cells."""
        return targets

    def loss(self, output: Tensor, targets: Any) -> Tensor:
        """A scalar; ``targets`` comes from :meth:`prepare`. Only for trained heads."""

    def remember(self, features: Tensor, targets: Tensor) -> None:
        """Keep a batch of the training set; only for heads without training."""

    def finish(self) -> None:
        """Called after the last batch that is remembered."""

    @abstractmethod
    def predict(self, output: Tensor, data_samples: Sequence[BaseDataElement]) -> list[Any]:
        """One prediction for each sample, of the size that the evaluator compares."""


class VectorHead(ProbeHead):
    """A head on one vector per image, the average over all positions of a map."""

    prediction = 'pred_label_by_name'

    @staticmethod
    def reduce(maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C), float32."""
        return average(maps)

    @staticmethod
    def concatenate(features: Sequence[Tensor]) -> Tensor:
        """(B, C_1), (B, C_2), ... -> (B, C_1 + C_2 + ...)."""
        return torch.cat(list(features), dim=1)

    @staticmethod
    def pixel_features(images: Tensor) -> Tensor:
        """Images as vectors, (B, 3 H W)."""
        return images.float().flatten(1)

    @staticmethod
    def pixel_channels(side: int) -> int:
        """Length of such a vector."""
        return 3 * side**2

    @staticmethod
    def targets(data_samples: Sequence[BaseDataElement]) -> Tensor:
        """Class indices (B,)."""
        return torch.cat([sample.gt_label for sample in data_samples])

    def predict(self, output: Tensor, data_samples: Sequence[BaseDataElement]) -> list[int]:
        """The label of the highest score in (B, num_classes)."""
        return output.argmax(1).tolist()


class DenseHead(ProbeHead):
    """A head on maps, whose output is resized to the image.

    Args:
        align_corners: As for ``F.interpolate``, when outputs are resized.
        init_cfg: As for any module of MMEngine.
    """

    dense = True

    def __init__(self, align_corners: bool = False, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.align_corners = align_corners

    @staticmethod
    def reduce(maps: Tensor) -> Tensor:
        """The map itself, float32."""
        return maps.float()

    @staticmethod
    def concatenate(features: Sequence[Tensor]) -> Tensor:
        """Maps resized to the first one (DINOv2's "lin. 4"), (B, C_1 + C_2 + ..., h, w)."""
        first, *others = features
        others = [
            F.interpolate(one, first.shape[-2:], mode='bilinear', align_corners=False)
            if one.shape[-2:] != first.shape[-2:]
            else one
            for one in others
        ]
        return torch.cat([first, *others], dim=1)

    @staticmethod
    def pixel_features(images: Tensor) -> Tensor:
        """The images as a map of three channels."""
        return images.float()

    @staticmethod
    def pixel_channels(side: int) -> int:
        """Red, green and blue."""
        return 3

    def resize(self, output: Tensor, size: Sequence[int]) -> Tensor:
        """Outputs (B, K, h, w) at another size (H, W)."""
        return F.interpolate(output, tuple(size), mode='bilinear', align_corners=self.align_corners)

    def at_size(self, output: Tensor, size: Sequence[int]) -> Tensor:
        """What windows average: the output (B, K, h, w) at the size (H, W) of the image."""
        return self.resize(output, size)

    def at_original_size(self, output: Tensor, sample: BaseDataElement) -> Tensor:
        """The output (K, H, W) of a padded, resized image at its original size.

        Undoes the padding and the resizing that the sample records, as MMSegmentation does.
        """
        meta = sample.metainfo
        padding = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
        left, right, top, bottom = padding
        height, width = output.shape[-2:]
        output = output[:, top : height - bottom, left : width - right]
        size = meta.get('ori_shape', output.shape[-2:])[:2]
        return output if tuple(size) == output.shape[-2:] else self.resize(output[None], size)[0]


class LinearLayer(nn.Module):
    """A linear layer on vectors or on each position of a map, optionally after a BatchNorm.

    Initial weights depend only on the seed of the training, so a head starts the same in every
    grid. The constructor leaves PyTorch's random state alone.

    Args:
        channels: C of the features.
        outputs: Number of outputs.
        norm: The BatchNorm in front, or None.
        init_std: Std of the normal distribution of the initial weights; 0 for zeros, None for
            PyTorch's own initialization.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        norm: nn.Module | None = None,
        init_std: float | None = 0.0,
    ) -> None:
        super().__init__()
        self.norm = nn.Identity() if norm is None else norm
        self.weight = nn.Parameter(torch.zeros(outputs, channels))
        self.bias = nn.Parameter(torch.zeros(outputs))
        # A generator of its own: the number of heads must not move the global state.
        generator = torch.Generator().manual_seed(torch.initial_seed())
        if init_std is None:
            bound = channels**-0.5
            self.initialize(nn.init.uniform_, a=-bound, b=bound, generator=generator)
        elif init_std:
            self.initialize(nn.init.trunc_normal_, std=init_std, generator=generator)

    def initialize(self, initializer: Callable, **settings: Any) -> None:
        """Fill the weight on the CPU, whatever the default device is."""
        weight = torch.empty(self.weight.shape, device='cpu')
        self.weight.data.copy_(initializer(weight, **settings))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) -> (B, outputs), or (B, C, h, w) -> (B, outputs, h, w)."""
        if features.ndim == 2:
            return F.linear(self.norm(features), self.weight, self.bias)
        if type(self.norm) is nn.BatchNorm2d:
            return self.normalize_and_project(features)
        return F.conv2d(self.norm(features), self.weight[:, :, None, None], self.bias)

    def normalize_and_project(self, x: Tensor) -> Tensor:
        """The norm and the layer at once: (B, C, h, w) -> (B, outputs, h, w), float32."""
        # W (g (x - m) / s + b) = (W g / s) x + W (b - g m / s). Since x is frozen, m and s need no
        # gradient, and no normalized map has to be stored. Where m is large, the terms cancel:
        # autocast, or a convolution's TF32, would lose the rest.
        with full_precision(x):
            mean, var = batch_statistics(self.norm, x)
            scale = self.norm.weight * (var + self.norm.eps).rsqrt()
            bias = self.bias + self.weight @ (self.norm.bias - scale * mean)
            outputs = torch.einsum('kc,bchw->bkhw', self.weight * scale, x.float())
            return outputs + bias[:, None, None]


@torch.no_grad()
def batch_statistics(norm: nn.BatchNorm2d, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance by which a BatchNorm normalizes maps; updates its running statistics."""
    if not norm.training:
        return norm.running_mean, norm.running_var
    # Five times as fast as torch.var_mean over these dimensions.
    mean = maps.mean((0, 2, 3))
    var = (maps - mean[:, None, None]).square_().mean((0, 2, 3))
    count = maps.numel() / len(mean)
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(var * count / max(count - 1, 1), norm.momentum)
    norm.num_batches_tracked += 1
    return mean, var


class KnownGradient(torch.autograd.Function):
    """A scalar loss of an output whose gradient was computed together with it.

    The loss of a dense head needs logits at the size of the image. They are freed before the next
    head's loss is computed, so a grid needs the memory of one head.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        """The loss; it and the gradient are float32."""
        ctx.save_for_backward(gradient)
        ctx.dtype = output.dtype
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, times that of the sum of all losses."""
        (gradient,) = ctx.saved_tensors
        # Scaled in float32: a small gradient would vanish in float16.
        return (gradient * scale).to(ctx.dtype), None, None


def loss_at_once(output: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute a scalar loss and its gradient together, so that the graph is freed at once."""
    with torch.enable_grad():
        leaf = output.detach().float().requires_grad_()
        value = loss(leaf)
        (gradient,) = torch.autograd.grad(value, leaf)
    return KnownGradient.apply(output, value.detach(), gradient)


def generator_of(*names: object) -> torch.Generator:
    """A generator that depends on the current seed and on names alone.

    A training seeds PyTorch anew for each iteration, so a head has random numbers of its own in
    every step, whatever other heads there are, also after a resumption.
    """
    name = zlib.crc32('/'.join(map(str, names)).encode())
    return torch.Generator().manual_seed((torch.initial_seed() + name) % 2**63)


def average(maps: Tensor) -> Tensor:
    """Average over all positions: (B, C, h, w) -> (B, C), float32."""
    return maps.float().mean((2, 3))
