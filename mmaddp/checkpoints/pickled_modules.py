"""Modules that were pickled whole, as the tensors that they hold.

NVIDIA's networks are pickles of objects whose classes travel along as source code. That code is
text here and nothing reads it: of every object only the tensors in it are kept, under the names
that its ``state_dict()`` would have.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch

from mmaddp.utils import UserError

# The number that PyTorch's files before 1.6 begin with, as a pickle of its own.
TORCH_LEGACY = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'


class ModuleState(dict):
    """The tensors of a module by name, filled from what Python pickles of the object."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, Mapping):
            raise UserError('refused: it holds a module whose state is no plain mapping')
        for kind in ('_parameters', '_buffers'):
            tensors = plain(state.get(kind))
            self.update({k: v for k, v in tensors.items() if isinstance(v, torch.Tensor)})
        for child, module in plain(state.get('_modules')).items():
            self.update({f'{child}.{name}': tensor for name, tensor in plain(module).items()})


def plain(value: Any) -> Mapping[str, Any]:
    """A mapping as it is; nothing of anything else."""
    return value if isinstance(value, Mapping) else {}


def persistent_object(meta: Any) -> ModuleState:
    """What an object of NVIDIA's ``torch_utils.persistence`` holds; its source code is left."""
    module = ModuleState()
    module.__setstate__(plain(meta).get('state'))
    return module


def storage_from_bytes(raw: bytes) -> Any:
    """The storage of a tensor that was pickled by itself, read as strictly as the file."""
    from . import unpickler

    # Another format could be TorchScript, which runs when it is loaded.
    if not isinstance(raw, bytes) or not raw.startswith(TORCH_LEGACY):
        raise UserError("refused: it holds a storage that is not in PyTorch's plain format")
    return torch.load(
        io.BytesIO(raw), map_location='cpu', pickle_module=unpickler, weights_only=False
    )
