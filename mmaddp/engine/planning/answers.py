"""Tensors without memory, and answers to operators that ask for their values.

A fake tensor of torch has a shape and no data. Operators with a fake input give fake outputs. All
others run as usual, so that labels, anchors, masks and random numbers are real in a traced step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Callable
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

aten = torch.ops.aten


class Fakes:
    """Makes fake tensors that can be mixed with real ones of their device."""

    def __init__(self, device: str = 'cpu') -> None:
        self.mode, self.device = FakeTensorMode(allow_non_fake_inputs=True), device

    def empty(self, like: Tensor) -> Tensor:
        """A fake tensor of the shape, strides and type of another one."""
        with self.mode:
            return torch.empty_strided(
                like.size(), like.stride(), dtype=like.dtype, device=self.device
            )

    def convert_parameters(self, model: nn.Module) -> None:
        """Replace all parameters of a model by fake ones."""
        known: dict[int, nn.Parameter] = {}
        for module in model.modules():
            for name, old in module._parameters.items():
                if old is None:
                    continue
                if id(old) not in known:
                    known[id(old)] = nn.Parameter(self.empty(old), old.requires_grad)
                module._parameters[name] = known[id(old)]

    def convert_buffers(self, model: nn.Module) -> None:
        """Replace all buffers of a model by fake ones."""
        for module in model.modules():
            for name, old in module._buffers.items():
                if old is not None:
                    module._buffers[name] = self.empty(old)


@contextmanager
def parameters_without_memory() -> Iterator[None]:
    """Put the parameters of modules that are built inside on the meta device.

    Buffers are real, and so is what constructors compute, such as rates of stochastic depth.
    """
    register = nn.Module.register_parameter

    def register_on_meta(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        register(module, name, param)
        if param is not None and not param.is_meta:
            module._parameters[name] = nn.Parameter(param.to('meta'), param.requires_grad)

    with mock.patch.object(nn.Module, 'register_parameter', register_on_meta):
        yield


def tensors_of(values: Any) -> list[Tensor]:
    """The tensors of nested lists, tuples and dicts."""
    return [leaf for leaf in tree_flatten(values)[0] if isinstance(leaf, Tensor)]


def answer(func: Any, args: tuple, kwargs: dict) -> Any:
    """Run an operator; one that asks a fake tensor for values gets the largest answer.

    Every element is selected, every condition holds, and every number is 1.
    """
    fakes = any(isinstance(tensor, FakeTensor) for tensor in tensors_of((args, kwargs)))
    if fakes and func in ANSWERS:
        return ANSWERS[func](*args, **kwargs)
    if fakes and func in SELECTIONS:
        args = args[0], [_positions(index) for index in args[1]], *args[2:]
        args = args[0], [p for positions in args[1] for p in positions], *args[2:]
    return func(*args, **kwargs)


def _positions(index: Tensor | None) -> list[Tensor | None]:
    """An index, as integers where it is a mask."""
    if index is None or index.dtype not in (torch.bool, torch.uint8):
        return [index]
    return list(_nonzero(index).unbind(1))


def _nonzero(mask: Tensor) -> Tensor:
    if not isinstance(mask, FakeTensor):
        return mask.nonzero()
    rest, positions = torch.arange(mask.numel(), device=mask.device), []
    for size in reversed(mask.shape):
        positions.append(rest % size)
        rest = rest // size
    return torch.stack(positions[::-1], dim=1)


def _unique(values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
    indices = torch.arange(values.numel(), device=values.device)
    return values.flatten(), indices.view(values.shape), torch.ones_like(indices)


def _item(tensor: Tensor) -> bool | int | float:
    return True if tensor.dtype == torch.bool else 1.0 if tensor.dtype.is_floating_point else 1


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    return torch.arange(len(boxes), device=boxes.device)


def _vector(func: Any, make: Callable) -> Callable:
    """A real vector for weights and labels of samples, which heads fill with what they know."""

    def new(like: Tensor, size: list[int], *values: Any, **kwargs: Any) -> Tensor:
        if len(size) != 1:
            return func(like, size, *values, **kwargs)
        dtype = kwargs.get('dtype') or like.dtype
        return make(size, *values, dtype=dtype, device=like.device)

    return new


ANSWERS: dict[Any, Callable] = {
    aten.new_zeros.default: _vector(aten.new_zeros.default, torch.zeros),
    aten.new_ones.default: _vector(aten.new_ones.default, torch.ones),
    aten.new_full.default: _vector(aten.new_full.default, torch.full),
    aten.nonzero.default: _nonzero,
    aten._unique2.default: _unique,
    aten._local_scalar_dense.default: _item,
    aten.is_nonzero.default: lambda x: True,
    aten.equal.default: lambda a, b: True,
    aten.masked_select.default: lambda x, mask: x.flatten(),
    # Gamma and Beta distributions, which torch cannot fake.
    aten._standard_gamma.default: lambda x, *generator: torch.empty_like(x),
    aten._sample_dirichlet.default: lambda x, *generator: torch.empty_like(x),
}
SELECTIONS = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}


class ArraysOfOnes(TorchFunctionMode):
    """Gives ones where NumPy or a list wants the values of a fake tensor."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        if func in _ARRAYS and isinstance(args[0], FakeTensor):
            # NumPy has no bfloat16.
            name = str(args[0].dtype).replace('torch.', '').replace('bfloat16', 'float32')
            array = np.ones(args[0].shape, name)
            return array.tolist() if func is Tensor.tolist else array
        return func(*args, **(kwargs or {}))


_ARRAYS = {Tensor.numpy, Tensor.__array__, Tensor.tolist}


@contextmanager
def stand_in_operators() -> Iterator[None]:
    """Use this package's operators in mmcv's modules, whose compiled ones take no fake tensors."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith('mmcv.ops.')]
    with ExitStack() as stack:
        for module in modules:
            if hasattr(module, 'ext_module'):
                from mmaddp.operators import mmcv_ext

                ANSWERS[torch.ops.torchvision.nms.default] = _nms
                stack.enter_context(mock.patch.object(module, 'ext_module', mmcv_ext))
        yield
