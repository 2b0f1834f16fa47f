"""Pickles read as data: whatever a file asks for beyond tensors and plain values is refused.

The module has the two names that :func:`torch.load` wants of a ``pickle_module``, so the same
list guards PyTorch's files, old and new, under every version of PyTorch.

A pickle is a program. Its instructions can call what ``find_class`` hands out with any arguments,
and can set attributes on it. So nothing real is handed out that could be misused or altered:
functions are fresh ones that check their arguments, classes with no meaning for weights (training
arguments, log histories) are empty ones, and NumPy's own reconstruction is replaced by one that
knows numbers only.

NVIDIA pickles whole networks, whose classes travel along as source code. Nothing reads that code:
of every object only the tensors are kept, under the names of its ``state_dict()``.
"""

from __future__ import annotations

import io
import pickle
import re
import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any, Callable

import numpy as np
import torch

from mmaddp.utils import UserError, refuse_if

__all__ = ['Unpickler', 'load']

# The number that PyTorch's files before 1.6 begin with, as a pickle of its own.
TORCH_LEGACY = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'

# NumPy's type codes: byte order, kind and bytes of numbers; then text, bytes, dates and times.
NUMBERS = re.compile(r'[<>=|]?(b1|\?|[iuf][1248])')
TEXT = re.compile(r'[<>=|]?([USmM]\d{0,4})')


class Inert:
    """Stands where a file has an object that carries no weights."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    # Pickle fills subclasses of lists and dictionaries through these.
    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Ignore an item."""

    def extend(self, items: object) -> None:
        """Ignore items."""


class DType:
    """A NumPy dtype by its code: numbers, or text and dates, whose arrays are left out."""

    def __init__(self, code: Any, *flags: object) -> None:
        code = code.decode('latin1') if isinstance(code, bytes) else code
        known = isinstance(code, str) and (NUMBERS.fullmatch(code) or TEXT.fullmatch(code))
        demand(known, f'holds a NumPy array of {code!r}, which are not numbers')
        self.value = np.dtype(code)

    @property
    def is_text(self) -> bool:
        """Whether these are no numbers."""
        return self.value.kind not in 'biuf'

    def __setstate__(self, state: tuple) -> None:
        # The state is (version, byte order, ...).
        if state[1] in ('<', '>', b'<', b'>'):
            order = state[1] if isinstance(state[1], str) else state[1].decode()
            self.value = self.value.newbyteorder(order)


class Array(np.ndarray):
    """A NumPy array that takes its state from numbers only."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran_order, raw = state  # the version of the format comes first
        demand(isinstance(dtype, DType), 'holds a NumPy array without a plain dtype')
        if not dtype.is_text:
            super().__setstate__((1, shape, dtype.value, fortran_order, as_bytes(raw)))


def as_bytes(raw: bytes | bytearray | str) -> bytes:
    """Raw numbers; Python 2's strings arrive as text in Latin-1."""
    return raw.encode('latin1') if isinstance(raw, str) else bytes(raw)


def empty_array(*_: object) -> Array:
    """What NumPy's ``_reconstruct`` gives before the state is set."""
    return np.empty(0, np.uint8).view(Array)


def array_from_buffer(buffer: Any, dtype: DType, shape: tuple, order: str) -> np.ndarray | None:
    """NumPy's array out of a buffer, as pickle protocol 5 has it."""
    if dtype.is_text:
        return None
    # A copy, because an array on a bytes object is read-only.
    return np.frombuffer(as_bytes(buffer), dtype.value).reshape(shape, order=order).copy()


def number(dtype: DType, raw: bytes | str) -> float | int | bool | None:
    """A NumPy scalar as a Python number."""
    if dtype.is_text:
        return None
    return np.frombuffer(as_bytes(raw), dtype.value)[0].item()


def latin1(text: str, encoding: str = 'latin1') -> bytes:
    """Bytes as pickle protocol 2 writes them."""
    demand(encoding == 'latin1', f'asks to encode text as {encoding!r}')
    return text.encode('latin1')


def tensor(storage: Any, offset: int, size: tuple, stride: tuple, *_: object) -> torch.Tensor:
    """A tensor over a storage, without hooks or gradient."""
    return torch._utils._rebuild_tensor(storage, offset, size, stride)


def first(value: Any, *_: object) -> Any:
    """A parameter is its data."""
    return value


def attribute(owner: Any, name: str) -> Inert:
    """MMEngine's log histories carry their own methods along, which need no meaning here."""
    demand(isinstance(owner, type) and issubclass(owner, Inert), asks_for('builtins.getattr'))
    return Inert()


def instance_of(kind: Any) -> Inert:
    """An empty object of an inert class."""
    demand(isinstance(kind, type) and issubclass(kind, Inert), asks_for(f'an object of {kind}'))
    return kind()


class ModuleState(dict):
    """The tensors of a module by name, filled from what Python pickles of the object."""

    def __setstate__(self, state: Any) -> None:
        for kind in ('_parameters', '_buffers'):
            tensors = plain(plain(state).get(kind))
            self.update({k: v for k, v in tensors.items() if isinstance(v, torch.Tensor)})
        for child, module in plain(plain(state).get('_modules')).items():
            # A pickle builds children first, so they are dictionaries of tensors already.
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
    # Another format could be TorchScript, which runs when it is loaded.
    legacy = isinstance(raw, bytes) and raw.startswith(TORCH_LEGACY)
    demand(legacy, "holds a storage that is not in PyTorch's plain format")
    return torch.load(
        io.BytesIO(raw),
        map_location='cpu',
        # The storage is a pickle of its own, so it is read by the same rules.
        pickle_module=sys.modules[__name__],
        weights_only=False,
    )


def demand(is_data: object, what: str) -> None:
    """Refuse a file that holds or does what weights do not."""
    refuse_if((not is_data, f'refused: it {what}'))


def asks_for(name: str) -> str:
    """Why a file that asks for ``name`` is not read."""
    return (
        f'asks for {name}, which weights have no need of and which could run code on '
        'this machine; nothing of it was executed. Get the file from its authors, or have its '
        'state dict saved as .safetensors'
    )


STAND_INS: dict[str, Callable] = {
    'torch._utils._rebuild_tensor': tensor,
    'torch._utils._rebuild_tensor_v2': tensor,
    'torch._utils._rebuild_parameter': first,
    'torch.storage._load_from_bytes': storage_from_bytes,
    'torch_utils.persistence._reconstruct_persistent_obj': persistent_object,
    'numpy.dtype': DType,
    '_codecs.encode': latin1,
    'collections.Counter': dict,
    'collections.defaultdict': lambda *_: {},
    # How protocols 0 and 1 write any object.
    'copyreg._reconstructor': lambda kind, *_: instance_of(kind),
    'pathlib.PosixPath': lambda *parts: '/'.join(parts),
    'pathlib.WindowsPath': lambda *parts: '\\'.join(parts),
    'builtins.getattr': attribute,
    'builtins.set': lambda items=(): set(items),
    'builtins.frozenset': lambda items=(): frozenset(items),
    'builtins.bytes': lambda *_: b'',
    'builtins.bytearray': lambda *_: b'',
    'builtins.complex': complex,
}
# NumPy 2 renamed numpy.core to numpy._core.
for _numpy in ('numpy.core', 'numpy._core'):
    STAND_INS[f'{_numpy}.multiarray._reconstruct'] = empty_array
    STAND_INS[f'{_numpy}.multiarray.scalar'] = number
    STAND_INS[f'{_numpy}.numeric._frombuffer'] = array_from_buffer

# Types of C, whose attributes a pickle cannot set.
AS_THEY_ARE = {
    'collections.OrderedDict': OrderedDict,
    'torch.Size': torch.Size,
    'torch.device': torch.device,
}
# Python's types have no attributes that a pickle could set either. defaultdict(list) and
# OmegaConf's metadata name them.
PYTHON_TYPES = {kind.__name__: kind for kind in (bool, dict, float, int, list, str, tuple)}
# Names of Python 2, in which protocol 2 pickles.
PYTHON_TYPES.update(long=int, unicode=str)
WITHOUT_WEIGHTS = {
    'argparse.Namespace',
    'builtins.object',
    'builtins.range',
    'builtins.slice',
    'builtins.xrange',
    'types.SimpleNamespace',
    'collections.deque',
    'datetime.date',
    'datetime.datetime',
    'datetime.time',
    'datetime.timedelta',
    'datetime.timezone',
    'decimal.Decimal',
    'fractions.Fraction',
    'uuid.UUID',
    'typing.Any',
    'torch.Generator',
    'easydict.EasyDict',
    'addict.addict.Dict',
    'munch.Munch',
    'mmengine.logging.history_buffer.HistoryBuffer',
    'numpy.ndarray',
}
# Configs, and the random states that NumPy pickles.
PACKAGES_WITHOUT_WEIGHTS = (
    'omegaconf.',
    'yacs.',
    'ml_collections.',
    'mmengine.config.',
    'mmcv.utils.config.',
    'numpy.random.',
    'zoneinfo.',
    'torch.optim.lr_scheduler.',
)
MODULES = {
    'torch.nn.modules.container.ModuleDict',
    'torch.nn.modules.container.ModuleList',
    'torch.nn.modules.container.Sequential',
}
# A dictionary of NVIDIA's with its keys as attributes.
DICTIONARIES = {'dnnlib.util.EasyDict', 'dnnlib.EasyDict'}
RENAMED_MODULES = {
    '__builtin__': 'builtins',
    'pathlib._local': 'pathlib',
    'copy_reg': 'copyreg',
}


class Unpickler(pickle.Unpickler):
    """An unpickler that knows the names above and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a global of the file.

        Raises:
            UserError: It is not on the list; the message names it.
        """
        full_name = f'{RENAMED_MODULES.get(module, module)}.{name}'
        if full_name in AS_THEY_ARE:
            return AS_THEY_ARE[full_name]
        if full_name.startswith('builtins.') and name in PYTHON_TYPES:
            return PYTHON_TYPES[name]
        if full_name in WITHOUT_WEIGHTS or full_name.startswith(PACKAGES_WITHOUT_WEIGHTS):
            # A new class each time: what a pickle sets on it affects nothing else.
            return type(name, (Inert,), {})
        if full_name in MODULES:
            return type(name, (ModuleState,), {})
        if full_name in DICTIONARIES:
            return type(name, (dict,), {})
        if full_name in STAND_INS:
            stand_in = STAND_INS[full_name]
            # A new function each time, for the same reason.
            return lambda *args: stand_in(*args)
        # torch.float16 and the like are plain values.
        if module == 'torch' and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise UserError(f'refused: it {asks_for(f"{module}.{name}")}')


def load(file: IO[bytes], **options: Any) -> Any:
    """Read one object from a binary file, as :func:`pickle.load` does."""
    return Unpickler(file, **options).load()
