"""Checks of a config against this machine before anything is built."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device

from mmaddp.utils import UserError

from .data import is_local

_STAGES = {'train': ('train', 'val'), 'test': ('test',)}
_ONE_OPTIMIZER = 'MMDistributedDataParallel'
_SYNC_NORMS = ('SyncBN', 'MMSyncBN')


def preflight(config: Config, stage: str) -> None:
    """Check a config against this machine before the run.

    Args:
        config: The whole config, with ``launcher``.
        stage: 'train' or 'test'.

    Raises:
        UserError: Files or folders are missing, or the config needs GPUs that are not there.
    """
    for name in _STAGES[stage]:
        for source, dataset in _datasets(config.get(f'{name}_dataloader'), f'{name}_dataloader'):
            _check_paths(source, dataset)
        evaluator = config.get(f'{name}_evaluator')
        if isinstance(evaluator, dict) and is_local(evaluator):
            _check_exists(evaluator.get('ann_file') or '', f'{name}_evaluator.ann_file')
    if config.get('load_from'):
        if '://' in config.load_from:
            raise UserError(f'{config.load_from}: download the file first and give its path')
        _check_exists(config.load_from, 'checkpoint')
    if config.get('launcher', 'none') != 'none' and stage == 'train':
        _check_wrapper(config)
    if get_device() == 'cpu':
        check_runs_on_cpu(config, trains=stage == 'train')
    elif config.get('launcher', 'none') != 'none' and torch.cuda.is_available():
        _check_gpu_count()


def _check_wrapper(config: Config) -> None:
    """Refuse several optimizers under a wrapper that knows of one."""
    wrapper = (config.get('model_wrapper_cfg') or {}).get('type', _ONE_OPTIMIZER)
    parts = [key for key, value in (config.get('optim_wrapper') or {}).items() if _is_part(value)]
    if parts and wrapper == _ONE_OPTIMIZER and not config.get('strategy'):
        raise UserError(
            f'optim_wrapper has the parts {", ".join(parts)}, which several processes train with '
            "model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel'): give "
            '--cfg-options model_wrapper_cfg.type=MMSeparateDistributedDataParallel'
        )


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and 'optimizer' in value


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
    if path and '://' not in path and not os.path.exists(path):
        remedy = f'give --cfg-options {what}=PATH' if '.' in what else 'correct its path'
        raise UserError(f'{what}: {path} does not exist: {remedy}')


def check_runs_on_cpu(config: Config, trains: bool) -> None:
    """Check that a config asks for nothing that only a GPU has.

    Raises:
        UserError: Mixed precision, or SyncBN in several processes; names the option that makes
            it run.
    """
    for key, value in _leaves(config.get('optim_wrapper') or {}, 'optim_wrapper'):
        if trains and key.endswith('.type') and 'Amp' in str(value):
            raise UserError(
                f'{key}={value} (mixed precision) needs a GPU and this machine has none: '
                'give --amp off'
            )
    if config.get('launcher', 'none') != 'none' and trains:
        keys = [key for key, value in _leaves(config.get('model'), 'model') if value in _SYNC_NORMS]
        if keys:
            options = ' '.join(f'{key}=BN' for key in keys)
            raise UserError(
                'SyncBN in several processes needs GPUs and this machine has none: '
                f'give --cfg-options {options}'
            )


def _leaves(config: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(config, dict):
        for name, value in config.items():
            yield from _leaves(value, f'{key}.{name}')
    elif isinstance(config, (list, tuple)):
        for index, value in enumerate(config):
            yield from _leaves(value, f'{key}.{index}')
    else:
        yield key, config


def _check_gpu_count() -> None:
    local_rank, gpus = int(os.environ.get('LOCAL_RANK', 0)), torch.cuda.device_count()
    if local_rank >= gpus:
        raise UserError(
            f'more processes than GPUs on this machine ({gpus}): start at most {gpus} here, or '
            'look at CUDA_VISIBLE_DEVICES'
        )
