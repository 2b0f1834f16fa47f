"""Low-rank adapters of linear layers (LoRA, arXiv:2106.09685)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ADAPTERS = ('lora_A', 'lora_B')
_ATTENTION = re.compile(r'attn|attention', re.IGNORECASE)
# What an attention may hold besides the projections of queries, keys, values and outputs.
_OTHERS = re.compile(r'mlp|ff|fc\d|gate|norm|pos|cpb|bias|drop', re.IGNORECASE)


class LoRALinear(nn.Linear):
    """h = W_0 x + b + (alpha / r) B A x, with fixed W_0 and b (equation 3 of LoRA).

    :meth:`adapt` turns a linear layer into one in place, so that its tensors keep their names.
    ``weight`` is W_0 + (alpha / r) B A, for networks that read it and do not call the layer.
    """

    scale: float
    drop_rate: float

    @classmethod
    def adapt(cls, layer: nn.Linear, rank: int, scale: float = 1.0, drop_rate: float = 0.0) -> None:
        """Add adapters that leave the layer's outputs as they are.

        Args:
            layer: A linear layer, changed in place.
            rank: r.
            scale: alpha / r.
            drop_rate: Dropout of the adapters' input in training.
        """
        weight = layer.weight
        layer.register_parameter('lora_A', nn.Parameter(weight.new_empty(rank, weight.shape[1])))
        layer.register_parameter('lora_B', nn.Parameter(weight.new_zeros(weight.shape[0], rank)))
        # As nn.Linear does; B = 0, so the product is 0 at first.
        nn.init.kaiming_uniform_(layer.lora_A, a=math.sqrt(5))
        layer.scale, layer.drop_rate = scale, drop_rate
        layer.__class__ = cls

    @property
    def weight(self) -> Tensor:
        """The merged weight (C_out, C_in)."""
        return self._parameters['weight'] + self.scale * self.lora_B @ self.lora_A

    def forward(self, x: Tensor) -> Tensor:
        """(…, C_in) -> (…, C_out)."""
        low = F.linear(F.dropout(x, self.drop_rate, self.training), self.lora_A)  # (…, r)
        base = F.linear(x, self._parameters['weight'], self.bias)
        return base + self.scale * F.linear(low, self.lora_B)

    def detach_adapters(self) -> dict[str, nn.Parameter]:
        """Become a linear layer of W_0 again; returns the adapters for :meth:`attach_adapters`."""
        self.__class__ = nn.Linear
        return {name: self._parameters.pop(name) for name in ADAPTERS}

    @staticmethod
    def attach_adapters(layer: nn.Linear, adapters: dict[str, nn.Parameter]) -> None:
        """Undo :meth:`detach_adapters`."""
        layer._parameters.update(adapters)
        layer.__class__ = LoRALinear

    @torch.no_grad()
    def merge(self) -> None:
        """Become a linear layer of the merged weight."""
        weight = self._parameters['weight']
        # In double precision, so that the sum is rounded once.
        product = self.lora_B.double() @ self.lora_A.double()
        weight.copy_(weight.double() + self.scale * product)
        self.detach_adapters()


def lora_layers(network: nn.Module) -> list[LoRALinear]:
    """The layers with adapters."""
    return [module for module in network.modules() if isinstance(module, LoRALinear)]


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name belongs to an adapter."""
    return name.rpartition('.')[2] in ADAPTERS


def base_name(name: str) -> str:
    """The weight that a parameter adapts; other names stay as they are."""
    return f'{name.rpartition(".")[0]}.weight' if is_adapter(name) else name


def attention_projections(network: nn.Module) -> Iterator[nn.Linear]:
    """The linear layers that give queries, keys, values and outputs, of any library's attention."""
    attentions = tuple(
        f'{name}.'
        for name, module in network.named_modules()
        if name and any(map(_ATTENTION.search, (type(module).__name__, name.rpartition('.')[2])))
    )
    for name, module in network.named_modules():
        # Subclasses may compute something else.
        if type(module) is not nn.Linear:
            continue
        outer = max((a for a in attentions if name.startswith(a)), key=len, default='')
        if outer and not _OTHERS.search(name[len(outer) :]):
            yield module
