"""What kernels of a GPU keep and compute, in a step that is traced on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from mmaddp.models.layers import relative_attention

from .ledger import Ledger

# The functions that autocast runs in float32 on CUDA and not on a CPU
# (https://docs.pytorch.org/docs/stable/amp.html, "CUDA Ops that can autocast to float32").
FLOAT32_FUNCTIONS = {
    *(F.layer_norm, F.group_norm, F.softmax, F.log_softmax, F.softplus),
    *(F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.cross_entropy, F.nll_loss, F.kl_div),
    *(torch.softmax, torch.log_softmax, torch.norm, torch.cumsum, torch.exp, torch.log, torch.pow),
    *(Tensor.softmax, Tensor.log_softmax, Tensor.norm, Tensor.cumsum, Tensor.exp, Tensor.log),
    *(Tensor.pow, Tensor.__pow__, Tensor.rsqrt, torch.rsqrt),
}


class CudaKernels(TorchFunctionMode):
    """Fused attention and autocast as on CUDA."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self.attend(*args)
        if func in FLOAT32_FUNCTIONS and torch.is_autocast_enabled('cpu'):
            args, kwargs = tree_map(_to_float32, (args, kwargs))
            with torch.autocast('cpu', enabled=False):
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *args: Any) -> Tensor:
        """Attention of :class:`FusedAttention`, in autocast's precision."""
        if torch.is_autocast_enabled('cpu'):
            q, k, v = (x.to(torch.get_autocast_dtype('cpu')) for x in (q, k, v))
        return FusedAttention.apply(self.ledger, q, k, v)


class FusedAttention(torch.autograd.Function):
    """What flash and memory-efficient attention keep: inputs, output and the log of each sum.

    Dropout needs no more, and neither do values narrower than queries. CPU kernels want equal
    widths, and have the weights in memory for dropout.
    """

    @staticmethod
    def forward(ctx: Any, ledger: Ledger, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(..., N, E), (..., M, E), (..., M, D) -> (..., N, D)."""
        # The kernels put the heads' channels side by side, so that merging heads copies nothing.
        shape = (*q.shape[:-3], q.shape[-2], q.shape[-3], v.shape[-1])
        out = q.new_empty(shape).transpose(-2, -3)
        ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1], dtype=torch.float32))
        ctx.ledger = ledger
        ctx.flops = 2 * q[..., 0].numel() * k.shape[-2] * (q.shape[-1] + v.shape[-1])
        ledger.charge(ctx.flops, [q, k, v, out])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        """Gradients like the inputs, for 2.5 times the work."""
        *inputs, out, _ = ctx.saved_tensors
        gradients = [torch.empty_like(x) for x in inputs]
        ctx.ledger.charge(ctx.flops * 5 // 2, [grad, out, *inputs, *gradients])
        return None, *gradients


def _to_float32(value: Any) -> Any:
    is_reduced = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if is_reduced else value


@contextmanager
def cuda_kernels(ledger: Ledger) -> Iterator[None]:
    """Trace inside as on a GPU."""
    with CudaKernels(ledger), mock.patch.object(relative_attention, 'CPU_DEVICES', ()):
        yield
