"""From a command line to a finished run: config, training, test, errors in one line."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.registry import RUNNERS

from mmaddp.checkpoints.reader import naming
from mmaddp.utils import ROOT, UserError, check_choice, disk_fault, find_config, write_json

from .best_cell import apply_best_cell
from .data import leaf_of
from .encoder_configs import fit_to_encoder
from .options import check_option
from .planning.announce import settings_that_fit
from .resumption import find_newest, lock_folder
from .runner.launch import read_launcher
from .validation import check_machine, recomputable_parts, validate

# bfloat16 runs on CPUs too; MMEngine's wrapper would refuse them.
AMP_WRAPPERS = {
    'off': dict(type='OptimWrapper'),
    'fp16': dict(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic'),
    'bf16': dict(type='mmaddp.BFloat16OptimWrapper'),
}
METRICS_FILE = 'test_metrics.json'
_LOST_PEER = ('Connection closed by peer', 'Connection reset by peer', 'remote process exited')


def load_config(
    path: str | Path, options: dict[str, Any] | None = None, variant: str | None = None
) -> Config:
    """Read a config file and merge ``options`` into it.

    Args:
        path: The config file, or one of this package by its path ``configs/…`` or its mere name; or
            a grid file: ``config``, the path of a config from there, and ``variants``, the options
            of each by dotted key.
        options: Values by dotted key.
        variant: Which variant of a grid file.

    Returns:
        The config. If its ``best_cell`` names a file, the backbone has the settings of that file;
        neck and heads fit an :class:`mmaddp.models.Encoder`.

    Raises:
        UserError: The file is missing or does not run, a type or key is not known, or
            ``best_cell`` does not fit.
    """
    path = find_config(path)
    if not os.path.exists(path):
        ours = (ROOT / 'configs').rglob('*.py')
        names = [config.name for config in ours if '_base_' not in config.parts]
        similar = get_close_matches(Path(path).name, names, n=1)
        hint = f'did you mean {similar[0]}?' if similar else 'give a path, or a name of configs/'
        raise UserError(f'{path}: no config has this name: {hint}')
    config = read_config(path)
    if variant is not None or isinstance(config.get('config'), str):
        variants = config.get('variants', {})
        check_choice(f'{path}: --variant', variant, variants)
        base = Path(path).parent / config.config
        return load_config(base, {**variants[variant], **(options or {})})
    for key in options or {}:
        check_option(config.to_dict(), key)
    options = dict(options or {})
    if 'best_cell' in config or 'best_cell' in options:
        apply_best_cell(config, options.pop('best_cell', config.get('best_cell')))
    config.merge_from_dict(options)
    with naming(path):
        validate(config)
        fit_to_encoder(config)
    return config


def read_config(path: str | Path) -> Config:
    """Read a config, a comparison or a grid file, and change nothing in it.

    Raises:
        UserError: It does not run.
    """
    try:
        return Config.fromfile(str(path))
    except Exception as error:
        # MMEngine's own ImportError lists sys.path, not what failed in custom_imports.
        cause = error
        while type(cause) is ImportError and cause.__context__:
            cause = cause.__context__
        raise UserError(f'{path}: {type(cause).__name__}: {cause}'.splitlines()[0]) from error


def prepare_run(config: Config, arguments: argparse.Namespace) -> Config:
    """Set the work folder, the launcher and the runner of a training or a test."""
    config.launcher = arguments.launcher
    os.environ.setdefault('LOCAL_RANK', str(arguments.local_rank))
    names = Path(arguments.config).stem, getattr(arguments, 'variant', None)
    return complete_run(config, arguments.work_dir, os.path.join(*filter(None, names)))


def complete_run(config: Config, work_dir: str | Path | None, name: str) -> Config:
    """Set the runner, and the work folder: the given, the config's or ``work_dirs/NAME``."""
    if work_dir:
        config.work_dir = str(work_dir)
    elif not config.get('work_dir'):
        config.work_dir = os.path.join('work_dirs', name)
    config.setdefault('runner_type', 'mmaddp.Runner')
    if (config.get('model') or {}).get('type') == 'mmaddp.GridProbe':
        # Each head of a grid has a learning rate and a norm of gradients of its own.
        wrapper = config.get('optim_wrapper') or Config()
        wrapper.setdefault('constructor', 'mmaddp.ProbeOptimWrapperConstructor')
    return config


def prepare_training(config: Config, arguments: argparse.Namespace) -> Config:
    """Set what :func:`mmaddp.engine.arguments.add_training_arguments` reads, ``--resume`` apart."""
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
        precision: 'fp16', 'bf16', 'off', or 'auto', which takes bf16 unless the GPU lacks it.
    """
    if precision == 'auto':
        lacks_bf16 = get_device() == 'cuda' and not torch.cuda.is_bf16_supported()
        precision = 'fp16' if lacks_bf16 else 'bf16'
    if 'optimizer' in config.optim_wrapper:
        _set_wrapper_amp(config.optim_wrapper, precision, 'optim_wrapper')
        return
    for name, wrapper in config.optim_wrapper.items():
        if isinstance(wrapper, dict):
            _set_wrapper_amp(wrapper, precision, f'optim_wrapper.{name}')


def _set_wrapper_amp(wrapper: Any, precision: str, key: str) -> None:
    types = [amp['type'] for amp in AMP_WRAPPERS.values()]
    if wrapper.get('type', 'OptimWrapper') not in types:
        raise UserError(f'--amp cannot change {key}.type={wrapper.type}')
    for name in ('dtype', 'loss_scale'):
        wrapper.pop(name, None)
    wrapper.update(AMP_WRAPPERS[precision])


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


def train(
    config: str | Path | Config, resume: str | None = None, work_dir: str | Path | None = None
) -> Any:
    """Train a config.

    Args:
        config: The config, or its path.
        resume: A checkpoint to resume from, or 'auto' for the newest whole one of ``work_dir``.
            If there is none yet, training starts from the beginning.
        work_dir: Where logs and checkpoints go; the config's, else ``work_dirs/CONFIG``, when None.

    Returns:
        The runner, after training.

    Raises:
        UserError: Whatever is wrong with the config, the data or the checkpoint.
    """
    config = open_run(config, work_dir)
    rank = 0 if config.get('launcher', 'none') == 'none' else read_launcher(config.launcher)[0]
    with clear_errors(config), lock_folder(config.work_dir) if rank == 0 else nullcontext():
        validate(config)
        if resume == 'auto':
            resume = find_newest(config.work_dir)
            if resume is None:
                print(f'{config.work_dir}: nothing to resume yet, training starts anew', flush=True)
        if resume is not None:
            config.resume, config.load_from = True, resume
        elif rank == 0:
            tell_of_earlier(config)
        check_machine(config, 'train')
        runner = RUNNERS.build(config)
        runner.train()
    return runner


def tell_of_earlier(config: Config) -> None:
    """Warn that a training begins in a folder with checkpoints of another, which it may replace."""
    earlier = sorted(Path(config.work_dir).glob('*.pth'), key=os.path.getmtime)
    if earlier and not config.get('resume'):
        print(
            f'{earlier[-1]} is of an earlier training: this one starts anew and may replace it; to '
            'go on from it, give --resume; to keep it, another --work-dir',
            flush=True,
        )


def open_run(config: str | Path | Config, work_dir: str | Path | None) -> Config:
    """A config that is ready to run, from itself or its path."""
    config = config if isinstance(config, Config) else load_config(config)
    return complete_run(config, work_dir, Path(config.filename or 'config').stem)


def test(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    work_dir: str | Path | None = None,
) -> dict[str, float]:
    """Test a checkpoint; the metrics also go to ``test_metrics.json`` of the work folder.

    Args:
        config: The config, or its path.
        checkpoint: The weights; those of ``config.load_from`` when None.
        work_dir: See :func:`train`.

    Returns:
        The metrics by name.

    Raises:
        UserError: Whatever is wrong with the config, the data or the checkpoint.
    """
    config = open_run(config, work_dir)
    if checkpoint is not None:
        config.load_from, config.resume = str(checkpoint), False
    with clear_errors(config):
        validate(config)
        check_machine(config, 'test')
        metrics = RUNNERS.build(config).test()
    metrics = {name: _plain(value) for name, value in metrics.items()}
    if is_main_process():
        path = Path(config.work_dir) / METRICS_FILE
        write_json(path, metrics)
        for name, value in metrics.items():
            print(f'{name}: {value:.4f}' if isinstance(value, float) else f'{name}: {value}')
        print(f'metrics: {path}')
    return metrics


def use_tta(config: Config) -> None:
    """Switch a config to its test-time augmentation, ``tta_model`` and ``tta_pipeline``."""
    leaf_of(config.test_dataloader.dataset).pipeline = config.tta_pipeline
    config.model = {**config.tta_model, 'module': config.model}


def write_predictions(config: Config, path: str) -> None:
    """Have the test write each image's prediction to a pickle file.

    Raises:
        UserError: The file has another ending, or its folder cannot be written to.
    """
    if not path.endswith(('.pkl', '.pickle')):
        raise UserError(f'--out {path}: predictions are pickled: give a name that ends with .pkl')
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=Path(path).parent).close()
    except OSError as error:
        raise UserError(f'--out {path}: {error.strerror}: name another folder') from error
    evaluators = config.test_evaluator
    evaluators = list(evaluators) if isinstance(evaluators, (list, tuple)) else [evaluators]
    in_mmdet = config.get('default_scope') == 'mmdet'
    dump = 'mmdet.DumpDetResults' if in_mmdet else 'mmengine.DumpResults'
    config.test_evaluator = [*evaluators, {'type': dump, 'out_file_path': path}]


def visualize_predictions(config: Config, folder: str) -> None:
    """Have the test write each image with its prediction into ``folder``."""
    scope = config.get('default_scope')
    check_choice('--show-dir: default_scope', scope, _VISUALIZATION)
    folder = os.path.abspath(folder)
    hook, folder_key, visualizer = _VISUALIZATION[scope]
    hook = {**hook, folder_key: folder} if folder_key else hook
    hooks = config.setdefault('default_hooks', {})
    own = hooks.get('visualization') or {}
    if str(own.get('type')).rpartition('.')[2] == hook['type'].rpartition('.')[2]:
        hook = {**own, **hook}  # it keeps its other settings, such as score_thr
    hooks['visualization'] = hook
    if not config.get('visualizer'):
        backends = [{'type': 'LocalVisBackend'}]
        config.visualizer = {'type': visualizer, 'vis_backends': backends}
    if scope == 'mmseg':  # whose hook has no folder of its own
        config.visualizer.save_dir = folder


# The hook of each library, its argument for the folder, and its visualizer.
_VISUALIZATION = {
    'mmdet': (
        {'type': 'mmdet.DetVisualizationHook', 'draw': True},
        'test_out_dir',
        'mmdet.DetLocalVisualizer',
    ),
    'mmseg': (
        {'type': 'mmseg.SegVisualizationHook', 'draw': True, 'interval': 1},
        None,
        'mmseg.SegLocalVisualizer',
    ),
    'mmpretrain': (
        {'type': 'mmpretrain.VisualizationHook', 'enable': True, 'interval': 1},
        'out_dir',
        'mmpretrain.UniversalVisualizer',
    ),
}


def _plain(value: Any) -> Any:
    """A NumPy or tensor scalar as Python's number, for JSON."""
    return value.item() if hasattr(value, 'item') else value


@contextmanager
def clear_errors(config: Config | None = None) -> Iterator[None]:
    """Turn errors that a user can mend into :class:`UserError` of one line; others pass.

    Args:
        config: The config that is run, whose keys the remedy may name.
    """
    try:
        yield
    except Exception as error:
        config = config or {}
        message = _one_line(error, config)
        if message is None:
            raise
        _tell_launcher(message)
        raise UserError(message) from error


def _one_line(error: Exception, config: Any) -> str | None:
    text = str(error).strip()
    if isinstance(error, UserError):
        # A dataloader worker's error carries its traceback, which ends with the error itself.
        return text.rsplit(f'{type(error).__name__}: ', 1)[-1]
    if isinstance(error, OSError) and disk_fault(error):
        return disk_fault(error, config.get('work_dir', ''))
    if 'out of memory' in text.lower():
        parts = recomputable_parts(config.get('model') or {})
        return (
            f'{text.splitlines()[0]} To need less, give --cfg-options '
            'train_dataloader.batch_size=N with optim_wrapper.accumulative_counts=M'
            + ''.join(f', or model.{part}.with_cp=True' for part in parts)
            + settings_that_fit(config)
        )
    return 'another process of this run ended' if any(s in text for s in _LOST_PEER) else None


def _tell_launcher(message: str) -> None:
    """Leave the message where torchrun looks for it, so that it can be the last thing printed."""
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if path:
        with open(path, 'w') as file:
            json.dump({'message': message, 'timestamp': int(time.time())}, file)
