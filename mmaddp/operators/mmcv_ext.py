"""The operators of ``mmcv._ext`` that networks of this package need, by torchvision and mmcv.

Names, arguments and outputs are those of mmcv's extension. Each function runs on CPU and CUDA.
Any other operator says how to build it when it is called.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, NoReturn

import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F

from mmaddp.utils import UserError


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the kept boxes, by falling score; a box is ``x2 - x1 + offset`` wide."""
    # torchvision breaks ties of scores in another order than mmcv's sort, so give it ranks.
    order = scores.sort(descending=True)[1]
    ranks = torch.arange(len(order), 0, -1, dtype=torch.float32, device=boxes.device)
    extended = boxes[order].float() + ranks.new_tensor([0, 0, offset, offset])
    # mmcv compares in float32, torchvision in float64: an overlap of just 0.3 differs.
    threshold = torch.tensor(iou_threshold, dtype=torch.float32).item()
    return order[torchvision.ops.nms(extended, ranks, threshold)]


def roi_align_forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **settings: Any
) -> None:
    """Write the pooled regions, N x C x H x W, to ``output``."""
    output.copy_(_roi_align(input, rois, **settings))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    **settings: Any,
) -> None:
    """Write the gradient of the features to ``grad_input``."""
    # The average of samples is linear: the gradient is the same for all features.
    features = torch.zeros_like(grad_input)
    grad_input.copy_(
        _gradients(lambda x: _roi_align(x, rois, **settings), [features], grad_output)[0]
    )


def _roi_align(
    features: Tensor,
    rois: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> Tensor:
    if pool_mode == 0:
        _refuse('mmcv.ops.roi_align', "pool_mode='max'")
    _refuse_bfloat16(features, 'regions', 'give the RoI extractor type=mmaddp.SingleRoIExtractor')
    size = (aligned_height, aligned_width)
    return torchvision.ops.roi_align(features, rois, size, spatial_scale, sampling_ratio, aligned)


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Attention to sampled positions of all levels; mmcv's shapes, N x queries x channels."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    _refuse_bfloat16(value, 'sampling locations', 'give --amp fp16')
    return multi_scale_deformable_attn_pytorch(
        value, value_spatial_shapes, sampling_locations, attention_weights
    )


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Write the gradients of the values, locations and weights."""

    def attend(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        shapes, starts = value_spatial_shapes, value_level_start_index
        return ms_deform_attn_forward(value, shapes, starts, locations, weights, im2col_step)

    inputs = [value, sampling_locations, attention_weights]
    outputs = [grad_value, grad_sampling_loc, grad_attn_weight]
    for output, gradient in zip(outputs, _gradients(attend, inputs, grad_output)):
        output.copy_(gradient)


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the loss of each sample and class, N x C; the label C is background."""
    output.copy_(_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of each loss by its logit."""

    def loss(logits: Tensor) -> Tensor:
        return _focal_loss(logits, target, weight, gamma, alpha)

    grad_input.copy_(_gradients(loss, [input], torch.ones_like(input))[0])


def _focal_loss(
    logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float
) -> Tensor:
    classes = logits.shape[1]
    one_hot = F.one_hot(target, classes + 1)[:, :classes].to(logits)
    loss = torchvision.ops.sigmoid_focal_loss(logits, one_hot, alpha, gamma)
    return loss * weight[target, None] if weight.numel() else loss


def _gradients(function: Callable, inputs: list[Tensor], grad_output: Tensor) -> tuple[Tensor, ...]:
    """Gradients of ``function(*inputs)``, times ``grad_output``, by each input."""
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in inputs]
        return torch.autograd.grad(function(*leaves), leaves, grad_output)


def get_compiler_version() -> str:
    """What mmcv's list of the environment shows."""
    return 'n/a'


get_compiling_cuda_version = get_compiler_version


def _refuse(module: str, operator: str) -> NoReturn:
    raise UserError(
        f'{module} needs {operator}, and this mmcv has no compiled operators: build them by '
        'bash tools/setup_env.sh --ops, or in an environment of your own by pip install '
        '--no-build-isolation --no-cache-dir --force-reinstall --no-deps onedl-mmcv'
    )


def _refuse_bfloat16(features: Tensor, positions: str, remedy: str) -> None:
    """mmcv rounds positions to the features' dtype. Its compiled operators lack bfloat16."""
    if features.dtype == torch.bfloat16:
        raise UserError(
            f'bfloat16 would round {positions} of an image of 1024 pixels to 4 pixels: {remedy}, '
            'or turn mixed precision off'
        )


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """An operator without replacement. mmcv's modules only ask whether they all exist."""
    if name.startswith('__'):
        raise AttributeError(name)

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        _refuse(sys._getframe(1).f_globals['__name__'], name)

    return refuse
