"""What each operator of a traced step allocates, computes and moves."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode

from .answers import answer, tensors_of


class Work(NamedTuple):
    """One operator's work.

    Attributes:
        part: The part of the model.
        flops: Floating-point operations of matrix products and convolutions.
        moved: Bytes read and written.
        dtype: Type of the first input.
        convolves: Whether it is a convolution.
    """

    part: str
    flops: int
    moved: int
    dtype: torch.dtype
    convolves: bool = False


class Ledger(TorchDispatchMode):
    """Counts live memory and work of all operators that run inside.

    Each storage counts once, from the operator that creates it until nothing refers to it. Its kind
    is the present :attr:`kind`, its part the owner of the parameter that was read last.

    Attributes:
        kind: Kind of the storages that operators create now.
        live: Bytes by (kind, part).
        peak: Bytes of the highest moment since :meth:`reset`.
        at_peak: ``live`` at that moment.
        work: What each operator has done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kind, self.part = 'activations', ''
        self.live: Counter = Counter()
        self.work: list[Work] = []
        self._storages: dict[int, tuple[weakref.ref, tuple[str, str], int]] = {}
        self._owners: dict[int, str] = {}
        self.total = 0
        self.reset()

    def reset(self) -> None:
        """Forget work and peak; what is alive stays."""
        self.peak, self.at_peak = self.total, Counter(self.live)
        self.work.clear()

    @contextmanager
    def counting_as(self, kind: str) -> Iterator[None]:
        """Count what operators create as another kind."""
        before, self.kind = self.kind, kind
        try:
            yield
        finally:
            self.kind = before

    def own(self, tensor: Tensor, kind: str, part: str) -> None:
        """Count a tensor that exists, and let operators that read it belong to its part."""
        self.add(tensor, kind, part)
        self._owners[tensor.untyped_storage()._cdata] = part

    def add(self, tensor: Tensor, kind: str, part: str | None = None) -> None:
        """Count a tensor's storage as ``kind``, also if it counts as another one already."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._storages:
            self._forget(key)
        label = kind, self.part if part is None else part
        reference = weakref.ref(storage, lambda _: self._forget(key))
        self._storages[key] = reference, label, storage.nbytes()
        self.live[label] += storage.nbytes()
        self.total += storage.nbytes()
        if self.total > self.peak:
            self.peak, self.at_peak = self.total, Counter(self.live)

    def _forget(self, key: int) -> None:
        _, label, size = self._storages.pop(key)
        self.live[label] -= size
        self.total -= size
        self._owners.pop(key, None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = tensors_of((args, kwargs))
        owner = self._owner(inputs)
        outputs = answer(func, args, kwargs)
        results = tensors_of(outputs)
        for tensor in results:
            if tensor.untyped_storage()._cdata not in self._storages:
                self.add(tensor, self.kind)
                if owner is not None and len(inputs) == 1:  # a parameter in another precision
                    self._owners[tensor.untyped_storage()._cdata] = owner
        if not getattr(func, 'is_view', False):
            self._count_work(func, args, kwargs, outputs, [*inputs, *results])
        return outputs

    def _owner(self, inputs: list[Tensor]) -> str | None:
        for tensor in inputs:
            owner = self._owners.get(tensor.untyped_storage()._cdata)
            if owner is not None:
                self.part = owner
                return owner
        return None

    def _count_work(
        self, func: Any, args: Any, kwargs: Any, outputs: Any, tensors: list[Tensor]
    ) -> None:
        formula = flop_counter.flop_registry.get(func._overloadpacket)
        flops = formula(*args, **kwargs, out_val=outputs) if formula else 0
        self.charge(flops, tensors, 'convolution' in func._overloadpacket.__name__)

    def charge(self, flops: int, tensors: list[Tensor], convolves: bool = False) -> None:
        """Count work on tensors, each of which is read or written once."""
        moved = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        dtype = tensors[0].dtype if tensors else torch.float32
        self.work.append(Work(self.part, flops, moved, dtype, convolves))
