"""Configs checked before anything is built: against signatures, and against this machine."""

from __future__ import annotations

import ast
import difflib
import inspect
import io
import math
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cache
from importlib import import_module
from typing import Any, Callable

from mmengine import registry as roots
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope, Registry, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmaddp.registry import LazyRegistry
from mmaddp.utils import UserError
from mmaddp.zoo import SCHEME, located

from .data import is_local
from .resumption import flatten

# The registry of each part of a config.
_SECTIONS = {
    'model': roots.MODELS,
    'tta_model': roots.MODELS,
    'data_preprocessor': roots.MODELS,
    'model_wrapper_cfg': roots.MODEL_WRAPPERS,
    'train_dataloader': roots.DATASETS,
    'val_dataloader': roots.DATASETS,
    'test_dataloader': roots.DATASETS,
    'val_evaluator': roots.METRICS,
    'test_evaluator': roots.METRICS,
    'optim_wrapper': roots.OPTIM_WRAPPERS,
    'param_scheduler': roots.PARAM_SCHEDULERS,
    'default_hooks': roots.HOOKS,
    'custom_hooks': roots.HOOKS,
    'visualizer': roots.VISUALIZERS,
    'log_processor': roots.LOG_PROCESSORS,
    'train_cfg': roots.LOOPS,
    'val_cfg': roots.LOOPS,
    'test_cfg': roots.LOOPS,
    'strategy': roots.STRATEGIES,
}
_BELOW = {
    'pipeline': roots.TRANSFORMS,
    'sampler': roots.DATA_SAMPLERS,
    'batch_sampler': roots.DATA_SAMPLERS,
    'collate_fn': roots.FUNCTIONS,
    'init_cfg': roots.WEIGHT_INITIALIZERS,
    'optimizer': roots.OPTIMIZERS,
    'vis_backends': roots.VISBACKENDS,
}
# Keys that a builder takes out before it calls the constructor.
_BUILDER_KEYS = {
    'hook': {'priority'},
    'optim_wrapper': {'constructor', 'paramwise_cfg'},
    'parameter scheduler': {'convert_to_iter_based'},
    'weight initializer': {'override'},
    'loop': {'by_epoch'},
    'model': {'fallback_on_stride', 'requires_grad'},
    'transform': {'magnitude_key'},
    'dataset': {'share'},
}
_DATALOADER_KEYS = {'dataset', 'sampler', 'batch_sampler', 'collate_fn', 'num_batch_per_epoch'}
_FURTHER_SETTINGS = {
    'best_cell',
    'compile',
    'custom_imports',
    'default_scope',
    'find_unused_parameters',
    'labels',
    'runner_type',
    'skip_corrupt_images',
    'strategy',
    'sync_bn',
}
# These get no arguments but those of the config, so missing ones can be found.
_COMPLETE = {'dataset', 'hook', 'metric', 'transform'}
_COMPLETE_PARTS = ('model', 'model.backbone', 'model.neck', 'model.head', 'model.decode_head')
# The transforms inside are those of another library.
_FOREIGN = {'Albu', 'mmdet.Albu', 'mmpretrain.Albumentations', 'Albumentations'}
# Lowest and highest values by key, and whether they are whole numbers.
_NUMBERS = {
    r'\w+_dataloader\.batch_size': (1, math.inf, True),
    r'\w+_dataloader\.num_workers': (0, math.inf, True),
    r'train_cfg\.(max_epochs|max_iters|val_interval)': (1, math.inf, True),
    r'optim_wrapper\.accumulative_counts': (1, math.inf, True),
    r'optim_wrapper\.(\w+\.)?optimizer\.(lr|weight_decay)': (0, math.inf, False),
    r'labels': (0, 1, False),
    r'randomness\.seed': (0, 2**32 - 1, True),
}
_STAGES = {'train': ('train', 'val'), 'test': ('test',)}
_SYNC_NORMS = ('SyncBN', 'MMSyncBN')


def validate(config: Config) -> None:
    """Check each type and key of a config.

    Dicts without a type pass, and so does what MMEngine's runner does not read.

    Raises:
        UserError: A type is not registered, or its constructor does not take a key or lacks one.
            Names the dotted key and the nearest name.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    with _silent_about_onedl():  # here OpenMMLab's packages are imported
        for key in config:
            if key in _SECTIONS:
                _check(config[key], key, _SECTIONS[key])
            else:
                _check_setting(key)


@contextmanager
def _silent_about_onedl() -> Iterator[None]:
    """Drop the lines that OpenMMLab's packages print about the data sets of a service."""
    MMLogger.get_current_instance()  # one made below would write into the buffer for ever
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        lines = printed.getvalue().splitlines(keepends=True)
        sys.stdout.writelines(line for line in lines if 'import OneDL' not in line)


def accepted_keys(function: Callable) -> tuple[set[str], bool]:
    """Names of a constructor's arguments, and whether it takes others besides.

    A class that passes ``**kwargs`` to ``super().__init__`` is followed to its parents.
    """
    names: set[str] = set()
    for constructor in _constructors(function):
        parameters = inspect.signature(constructor).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names - {'self'}, False
        if not _forwards(constructor):
            return names - {'self'}, True
    return names - {'self'}, False


def find_type(name: Any, preferred: Registry = roots.MODELS, scope: str | None = None) -> Any:
    """What ``type=name`` builds, and the name of its registry's kind; (None, '') if unknown."""
    if not isinstance(name, str):
        return name, preferred.name
    current = DefaultScope.get_current_instance()
    return _find(name, preferred, scope or (current.scope_name if current else 'mmengine'))


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most like ``name``, or None when none is alike."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


def settings() -> set[str]:
    """Keys of a config that a run reads."""
    return {*inspect.signature(Runner.__init__).parameters, *_SECTIONS, *_FURTHER_SETTINGS}


def _check(value: Any, key: str, registry: Registry, direct: bool = True) -> None:
    """Check the value of ``key``; ``direct`` if only the runner or a list holds it."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, f'{key}.{index}', registry, direct)
        return
    if not isinstance(value, dict):
        return
    if key.endswith('_dataloader'):
        known = accepted_keys(DataLoader)[0] | _DATALOADER_KEYS
        _check_keys(set(value), known, key, 'a dataloader')
    elif value.get('type') in _FOREIGN:
        return
    elif 'type' in value:
        _check_typed(value, key, registry, direct)
    for name, item in value.items():
        below = _BELOW.get(name, registry)
        if below is registry or not key.startswith(('model.', 'tta_model.')) or name == 'init_cfg':
            holds = key.endswith('_dataloader') or (direct and 'type' not in value)
            _check(item, f'{key}.{name}', below, below is not registry or holds)


def _check_typed(value: dict, key: str, registry: Registry, direct: bool) -> None:
    name, scope = value['type'], value.get('_scope_')
    target, kind = find_type(name, registry, scope)
    if target is None:
        # Inside a model, other names than those of registries choose functions of mmcv and torch.
        sure = direct or '.' in name
        known = _registered()
        close = nearest(name.rsplit('.', 1)[-1], known, cutoff=0.7 if sure else 0.85)
        if sure or close:
            hint = (
                f'did you mean {known[close]!r}?' if close else 'add its module to custom_imports'
            )
            raise UserError(f'{key}.type={name!r} is not registered: {hint}')
        return
    given = set(value) - {'type', '_scope_', '_delete_'} - _BUILDER_KEYS.get(kind, set())
    known, open_ended = accepted_keys(target)
    # A wrapper of parts has a key for each part.
    if kind != 'optim_wrapper' or 'optimizer' in value:
        _check_keys(given, known, key, target.__name__, open_ended)
    if key in _COMPLETE_PARTS or (direct and kind in _COMPLETE):
        # A probe sets the channels of its heads.
        missing = sorted(_required(target) - given - set(getattr(target, 'set_by_model', ())))
        if missing:
            raise UserError(f'{key}: {target.__name__} needs {", ".join(missing)}')


def _check_keys(
    given: set[str], known: set[str], key: str, owner: str, open_ended: bool = False
) -> None:
    for name in sorted(given - known - {'_delete_', '_scope_'}):
        close = nearest(name, known, cutoff=0.9 if open_ended else 0.6)
        if open_ended and not close:
            continue
        other = 'remove it, or replace the whole dict by one with _delete_=True'
        hint = f'did you mean {key}.{close}?' if close else other
        raise UserError(f'{key}.{name}: {owner} has no such key: {hint}')


def _check_setting(key: str) -> None:
    """Refuse a variable whose name is nearly that of a setting; config files have others."""
    close = None if key in settings() else nearest(key, settings(), cutoff=0.8)
    if close and not key.startswith(f'{close}_'):
        raise UserError(f'{key} is not a setting of a run: did you mean {close}?')


def _required(target: Callable) -> set[str]:
    """Arguments of the constructor itself that have no default."""
    constructor = next(_constructors(target), lambda: None)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    required = {
        p.name
        for p in inspect.signature(constructor).parameters.values()
        if p.kind in named and p.default is p.empty
    }
    return required - {'self'}


def _constructors(target: Callable) -> Iterator[Callable]:
    """A function, or a class's own constructor and its parents'."""
    for owner in target.__mro__ if inspect.isclass(target) else [target]:
        constructor = vars(owner).get('__init__') if inspect.isclass(owner) else owner
        if inspect.isfunction(constructor):
            yield constructor


@cache
def _forwards(function: Callable) -> bool:
    """Whether a constructor does nothing with its ``**kwargs`` but pass them to its parent's."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except OSError:  # generated code, such as a dataclass's
        return False
    variable = tree.body[0].args.kwarg
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    uses = [node for node in names if variable and node.id == variable.arg]
    parents = ('super()', f'super({function.__qualname__.split(".")[-2:][0]}, self)')
    passed = [
        keyword.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).rsplit('.', 1)[0] in parents
        for keyword in call.keywords
        if keyword.arg is None
    ]
    return bool(uses) and all(use in passed for use in uses)


def _all_registries() -> list[Registry]:
    modules = [m for n, m in list(sys.modules.items()) if n.split('.')[-1] in ('registry', 'root')]
    found = {id(r): r for m in modules for r in vars(m).values() if isinstance(r, Registry)}
    return list(found.values())


@cache
def _find(name: str, preferred: Registry, scope: str) -> tuple[Any, str]:
    for registry in (preferred, *_all_registries()):
        found = _in_scope(registry, scope).get(name)
        if callable(found):
            return found, registry.name
    return None, ''


def _in_scope(registry: Registry, scope: str) -> Registry:
    """The registry of a scope; as ``switch_scope_and_registry``, which warns where it has none."""
    with suppress(ImportError, AttributeError):
        import_module(f'{scope}.registry')
    scoped = registry.root._search_child(scope)
    return registry if scoped is None else scoped  # one without modules yet is false


def _registered() -> dict[str, str]:
    """All registered names, and each with its scope."""
    registries = _all_registries()
    names = {r: r.names() if isinstance(r, LazyRegistry) else r.module_dict for r in registries}
    return {name: f'{r.scope}.{name}' for r in registries for name in names[r]}


def check_machine(config: Config, stage: str) -> None:
    """Check a config against this machine before the run.

    Args:
        config: The whole config, with ``launcher``.
        stage: 'train' or 'test'.

    Raises:
        UserError: Files or folders are missing, a number is out of range, or the config needs GPUs
            that are not there.
    """
    for key, value in flatten(config.to_dict()):
        _check_number(key.lstrip('.'), value)
    for name in _STAGES[stage]:
        for source, dataset in _datasets(config.get(f'{name}_dataloader'), f'{name}_dataloader'):
            _check_paths(source, dataset)
        evaluator = config.get(f'{name}_evaluator')
        if isinstance(evaluator, dict) and is_local(evaluator):
            _check_exists(evaluator.get('ann_file') or '', f'{name}_evaluator.ann_file')
    if config.get('load_from'):
        _check_exists(config.load_from, 'checkpoint')
    if stage == 'train':
        # Other variables of a config file may name files that nothing reads.
        check_weights_files(dict(flatten(config.to_dict().get('model'), 'model')))
    if get_device() == 'cpu':
        check_runs_on_cpu(config, trains=stage == 'train')


def _check_number(key: str, value: Any) -> None:
    for pattern, (low, high, whole) in _NUMBERS.items():
        if value is None or not re.fullmatch(pattern, key):
            continue
        is_number = isinstance(value, (int, float)) and low <= value <= high and value < math.inf
        if not is_number or (whole and value != int(value)):
            kind = 'a whole number' if whole else 'a number'
            bounds = f'{low} or more' if high == math.inf else f'{low} to {high}'
            raise UserError(f'{key}={value!r}: must be {kind}, {bounds}')


def check_weights_files(options: Mapping[str, Any]) -> None:
    """Refuse missing files of weights, by the dotted keys that name them."""
    for key, value in options.items():
        # Addresses and names of model zoos have a scheme, which the check leaves out.
        if key.endswith(('.init_cfg.checkpoint', 'model.checkpoint')) and isinstance(value, str):
            # The probe's is an argument of the tool.
            _check_exists(value, 'checkpoint' if key == 'model.checkpoint' else key)


def _datasets(config: Any, source: str) -> Iterator[tuple[str, dict]]:
    if isinstance(config, dict):
        if 'data_root' in config or 'ann_file' in config:
            yield source, config
            return
        for key, value in config.items():
            yield from _datasets(value, f'{source}.{key}')
    elif isinstance(config, (list, tuple)):
        for index, value in enumerate(config):
            yield from _datasets(value, f'{source}.{index}')


def _check_paths(source: str, dataset: dict) -> None:
    root, prefixes = dataset.get('data_root') or '', dataset.get('data_prefix')
    # Annotations and images may be stored in two ways.
    has_annotations = is_local({**dataset, 'pipeline': None})
    has_images = is_local(dataset.get('pipeline'))
    if has_annotations and has_images:
        _check_exists(root, f'{source}.data_root')
    if has_annotations:
        _check_exists(_join(root, dataset.get('ann_file')), f'{source}.ann_file')
    if not has_images:
        return
    for key, prefix in prefixes.items() if isinstance(prefixes, dict) else [('', prefixes)]:
        _check_exists(_join(root, prefix), f'{source}.data_prefix{"." if key else ""}{key}')


def _join(root: str, path: Any) -> str:
    return os.path.join(root, path) if isinstance(path, str) and path else ''


def _check_exists(path: str, what: str) -> None:
    # A file of the zoo, a path, or an address that MMEngine resolves.
    is_local = path.startswith(SCHEME) or '://' not in path
    if path and is_local and not located(path).exists():
        remedy = f'give --cfg-options {what}=PATH' if '.' in what else 'correct its path'
        raise UserError(f'{what}: {path} does not exist: {remedy}')


def check_runs_on_cpu(config: Config, trains: bool) -> None:
    """Check that a config asks for nothing that only a GPU has.

    Raises:
        UserError: MMEngine's mixed precision, or SyncBN in several processes; names the option
            that makes it run.
    """
    for key, value in flatten(config.get('optim_wrapper') or {}, 'optim_wrapper'):
        if trains and key.endswith('.type') and 'Amp' in str(value):
            raise UserError(
                f'{key}={value} needs a GPU and this machine has none: give --amp bf16 or --amp off'
            )
    if config.get('launcher', 'none') != 'none' and trains:
        keys = [key for key, value in flatten(config.get('model'), 'model') if value in _SYNC_NORMS]
        if keys:
            options = ' '.join(f'{key}=BN' for key in keys)
            raise UserError(
                'SyncBN in several processes needs GPUs and this machine has none: '
                f'give --cfg-options {options}'
            )


def recomputable_parts(model: dict) -> list[str]:
    """Names of a model's networks that can recompute their blocks and do not yet."""

    def can_recompute(part: Any) -> bool:
        if not isinstance(part, dict) or 'type' not in part or part.get('with_cp'):
            return False
        target = find_type(part['type'])[0]
        return target is not None and 'with_cp' in accepted_keys(target)[0]

    return [name for name, part in model.items() if can_recompute(part)]
