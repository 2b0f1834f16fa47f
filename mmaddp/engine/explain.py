"""Errors of the libraries, told in one line that names the key and the remedy."""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import os
import re
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Callable

from mmengine import registry as mmengine_registry
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmaddp.utils import UserError

_UNKNOWN_TYPE = re.compile(r'([\w.]+) is not in the ([\w-]+)::([\w ]+) registry')
_UNKNOWN_KEY = re.compile(
    r"(?:(\w+)\.)?__init__\(\) got an unexpected keyword argument '(\w+)'(?: in|$|\.)?"
)
_MISSING_KEY = re.compile(r'(?:(\w+)\.)?__init__\(\) missing \d+ required .*arguments?: (.*)')
_CLASS_IN_FILE = re.compile(r'class `(\w+)` in ([\w/.]+)\.py')
_BUILDERS = ('build_from_cfg', 'build_optim_wrapper')
_OWN = ('mmaddp.models.', 'mmaddp.diffusion.', 'mmaddp.engine.optimizers.')
_NO_CUDA = ('Found no NVIDIA driver', 'Torch not compiled with CUDA', 'No CUDA GPUs are available')


@contextmanager
def clear_errors(config: Config | None = None) -> Iterator[None]:
    """Turn errors that a config or a file causes into :class:`UserError`; others pass.

    Args:
        config: The config that is run, where the remedy may name its keys.
    """
    try:
        yield
    except Exception as error:
        message = own_words(error) if isinstance(error, UserError) else explain(error, config)
        if message is None:
            raise
        _tell_launcher(message)
        raise UserError(message) from error


def _tell_launcher(message: str) -> None:
    """Leave the message where torchrun looks for it, so that it can be the last thing printed."""
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if path:
        with open(path, 'w') as file:
            json.dump({'message': message, 'timestamp': int(time.time())}, file)


def own_words(error: UserError) -> str:
    """The message of an error, without the traceback that a dataloader worker wraps around it."""
    return str(error).strip().rsplit(f'{type(error).__name__}: ', 1)[-1]


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most like ``name``, or None when none is alike."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


def explain(error: Exception, config: Config | None = None) -> str | None:
    """One line for an error whose cause is a config or a file, or None for any other."""
    text = str(error.args[0]) if error.args else str(error)
    for explanation in (
        _unknown_type,
        _unknown_key,
        _missing_key,
        _wrong_value,
        _no_gpu,
        _lost_peer,
    ):
        message = explanation(error, text)
        if message:
            return message
    return _out_of_memory(text, (config or {}).get('model') or {})


def accepted_arguments(function: Callable) -> tuple[set[str], bool]:
    """Names of a constructor's arguments, and whether it takes any others besides.

    A class that passes ``**kwargs`` on is followed to its parents.
    """
    names: set[str] = set()
    owners = function.__mro__ if inspect.isclass(function) else [function]
    for owner in owners:
        target = vars(owner).get('__init__') if inspect.isclass(owner) else owner
        if not inspect.isfunction(target):
            continue
        parameters = inspect.signature(target).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names - {'self'}, False
    return names - {'self'}, True


def _unknown_type(error: Exception, text: str) -> str | None:
    found = _UNKNOWN_TYPE.search(text)
    if not (isinstance(error, KeyError) and found):
        return None
    name, scope, kind = found.groups()
    close = nearest(name.rsplit('.', 1)[-1], _registered(kind), cutoff=0.7)
    hint = f'did you mean {close!r}?' if close else 'correct it or add its module to custom_imports'
    return f'config: type={name!r} is not a registered {kind} ({scope}): {hint}'


def _registered(kind: str) -> set[str]:
    roots = [r for r in vars(mmengine_registry).values() if isinstance(r, Registry)]
    names: set[str] = set()
    for root in roots:
        if root.name == kind:
            for registry in (root, *root.children.values()):
                registry.import_from_location()
                names |= set(registry.module_dict)
    return names


def find_class(name: str) -> Callable | None:
    """What the config's ``type=name`` builds, whichever registry it is in, or None."""
    scope = DefaultScope.get_current_instance()
    candidates = [name] if '.' in name or scope is None else [f'{scope.scope_name}.{name}', name]
    for root in vars(mmengine_registry).values():
        for candidate in candidates if isinstance(root, Registry) else ():
            found = root.get(candidate)
            if callable(found):
                return found
    return None


def _unknown_key(error: Exception, text: str) -> str | None:
    found = _UNKNOWN_KEY.search(text)
    if not (isinstance(error, TypeError) and found):
        return None
    key = found.group(2)
    owner = _class_of(error, found.group(1), text)
    if owner is None:
        return f'config: {found.group(1) or "a class"} has no key {key!r}'
    close = nearest(key, accepted_arguments(owner)[0])
    hint = f'did you mean {close!r}?' if close else 'remove it'
    return f'config: {owner.__name__} has no key {key!r}: {hint}'


def _missing_key(error: Exception, text: str) -> str | None:
    found = _MISSING_KEY.search(text)
    if not (isinstance(error, TypeError) and found):
        return None
    owner = _class_of(error, found.group(1), text)
    return f'config: {owner.__name__ if owner else found.group(1)} needs the key {found.group(2)}'


def _class_of(error: Exception, name: str | None, text: str) -> Callable | None:
    """The class whose constructor was called: from the message, or else from the traceback."""
    located = _CLASS_IN_FILE.findall(text)
    if located:
        name, path = located[-1]
        return getattr(importlib.import_module(path.replace('/', '.')), name, None)
    return _class_in_traceback(error) or (find_class(name) if name else None)


def _class_in_traceback(error: Exception) -> Any:
    builders = [frame for frame in _frames(error) if frame.f_code.co_name == 'build_from_cfg']
    return builders[-1].f_locals.get('obj_cls') if builders else None


def _frames(error: Exception) -> list[FrameType]:
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)]


def _wrong_value(error: Exception, text: str) -> str | None:
    """A value that a class of this package refused while it was built from its config."""
    if not isinstance(error, ValueError):
        return None
    frames = _frames(error)
    builds = any(frame.f_code.co_name in _BUILDERS for frame in frames)
    if not (builds and frames[-1].f_globals.get('__name__', '').startswith(_OWN)):
        return None
    owners = (type(frame.f_locals.get('self')) for frame in frames)
    owner = next((one for one in owners if one.__module__.startswith(_OWN)), None)
    return f'config: {owner.__name__ + ": " if owner else ""}{first_line(error)}'


def _no_gpu(error: Exception, text: str) -> str | None:
    if not any(sign in text for sign in _NO_CUDA):
        return None
    return (
        'the config needs a GPU and this machine has none: leave --amp out or give --amp off, and '
        "remove device='cuda' from the config"
    )


def _out_of_memory(text: str, model: dict) -> str | None:
    if 'out of memory' not in text.lower():
        return None
    recomputing = [part for part in ('backbone', 'encoder') if _can_recompute(model.get(part))]
    return (
        f'{text.splitlines()[0]} To need less, give --cfg-options train_dataloader.batch_size=N '
        'with optim_wrapper.accumulative_counts=M'
        + ''.join(f', or model.{part}.with_cp=True' for part in recomputing)
    )


def _can_recompute(part: Any) -> bool:
    target = find_class(part['type']) if isinstance(part, dict) and 'type' in part else None
    return target is not None and 'with_cp' in accepted_arguments(target)[0]


def _lost_peer(error: Exception, text: str) -> str | None:
    lost = ('Connection closed by peer', 'Connection reset by peer', 'remote process exited')
    return 'another process of this run ended' if any(sign in text for sign in lost) else None


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type's name."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
