"""From a command line to a config: what tools/train.py, test.py and the analysis tools share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device

from mmaddp.utils import UserError

from .best_cell import KEY as BEST_CELL
from .best_cell import apply_best_cell
from .validation import check_option, validate

AMP_DTYPES = {'fp16': 'float16', 'bf16': 'bfloat16'}


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, ``--variant`` and ``--cfg-options``, which every tool takes."""
    parser.add_argument('config', help='the config file, or a grid file of configs/grids')
    parser.add_argument('--variant', metavar='NAME', help='which variant of a grid file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='settings that replace those of the config, such as train_dataloader.batch_size=2',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what training and testing share: the work folder and the launcher."""
    parser.add_argument('--work-dir', help='where logs and checkpoints go (work_dirs/CONFIG)')
    add_launcher_arguments(parser)


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every training takes: the run's arguments, and how it goes on and learns."""
    add_run_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, or from the newest whole one of the work folder',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=['auto', 'bf16', 'fp16', 'off'],
        help='mixed precision: bf16 where the GPU has it, or as said; off leaves it out',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the images of one optimizer step',
    )
    parser.add_argument('--seed', type=int, help='seed of all randomness')


def add_launcher_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what starts several processes."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts several processes',
    )
    # torch.distributed.launch passes it; torchrun sets the environment.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(
    path: str | Path, options: dict[str, Any] | None = None, variant: str | None = None
) -> Config:
    """Read a config file and merge ``options`` into it.

    Args:
        path: The config file, or a grid file: ``config``, the path of a config from there, and
            ``variants``, the options of each by dotted key.
        options: Values by dotted key.
        variant: Which variant of a grid file.

    Returns:
        The config; where its ``best_cell`` names a file, the backbone as that says, unless
        ``options`` say otherwise.

    Raises:
        UserError: The file is missing or does not run, a type or key is not known, or
            ``best_cell`` does not fit.
    """
    if not Path(path).is_file():
        raise UserError(f'{path}: no such config file')
    try:
        config = Config.fromfile(str(path))
    except Exception as error:
        raise UserError(f'{path}: {type(error).__name__}: {error}'.splitlines()[0]) from error
    if variant is not None or isinstance(config.get('config'), str):
        variants = config.get('variants', {})
        if variant not in variants:
            known = ', '.join(variants) or 'none: it has no variants'
            raise UserError(f'{path}: --variant {variant}: give one of {known}')
        base = Path(path).parent / config.config
        return load_config(base, {**variants[variant], **(options or {})})
    for key in options or {}:
        check_option(config.to_dict(), key)
    apply_best_cell(config, (options or {}).get(BEST_CELL, config.get(BEST_CELL)))
    config.merge_from_dict({k: v for k, v in (options or {}).items() if k != BEST_CELL})
    try:
        validate(config)
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    return config


def prepare_run(config: Config, arguments: argparse.Namespace) -> Config:
    """Set the work folder, the launcher and the runner of a training or a test."""
    config.launcher = arguments.launcher
    os.environ.setdefault('LOCAL_RANK', str(arguments.local_rank))
    if arguments.work_dir:
        config.work_dir = arguments.work_dir
    elif not config.get('work_dir'):
        names = Path(arguments.config).stem, getattr(arguments, 'variant', None)
        config.work_dir = os.path.join('work_dirs', *filter(None, names))
    config.setdefault('runner_type', 'mmaddp.Runner')
    return config


def prepare_training(config: Config, arguments: argparse.Namespace) -> Config:
    """Set what :func:`add_training_arguments` reads, ``--resume`` apart."""
    prepare_run(config, arguments)
    if arguments.amp:
        set_amp(config, arguments.amp)
    if arguments.auto_scale_lr:
        set_auto_scale_lr(config)
    if arguments.seed is not None:
        set_seed(config, arguments.seed)
    return config


def set_amp(config: Config, precision: str) -> None:
    """Choose mixed precision.

    Args:
        config: The config, changed in place.
        precision: 'fp16', 'bf16', 'off', or 'auto', which takes bf16 where the GPU has it.
    """
    if precision == 'auto':
        has_bf16 = get_device() == 'cuda' and torch.cuda.is_bf16_supported()
        precision = 'bf16' if has_bf16 else 'fp16'
    if 'optimizer' in config.optim_wrapper:
        _set_wrapper_amp(config.optim_wrapper, precision, 'optim_wrapper')
        return
    for name, wrapper in config.optim_wrapper.items():
        if isinstance(wrapper, dict):
            _set_wrapper_amp(wrapper, precision, f'optim_wrapper.{name}')


def _set_wrapper_amp(wrapper: Any, precision: str, key: str) -> None:
    if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(f'--amp cannot change {key}.type={wrapper.type}')
    for name in ('dtype', 'loss_scale'):
        wrapper.pop(name, None)
    if precision == 'off':
        wrapper.type = 'OptimWrapper'
        return
    wrapper.type, wrapper.dtype = 'AmpOptimWrapper', AMP_DTYPES[precision]
    # bfloat16 has float32's range: nothing underflows, so there is nothing to scale.
    wrapper.loss_scale = 'dynamic' if precision == 'fp16' else {'enabled': False}


def set_seed(config: Config, seed: int) -> None:
    """Choose the seed of all randomness, kept in ``randomness.seed``."""
    config.randomness = {**(config.get('randomness') or {}), 'seed': seed}


def set_auto_scale_lr(config: Config) -> None:
    """Scale the learning rate with the batch; the config must say which batch it is meant for."""
    if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
        raise UserError(
            '--auto-scale-lr: the config does not say which batch its learning rate is for: give '
            '--cfg-options auto_scale_lr.base_batch_size=N'
        )
    config.auto_scale_lr.enable = True
