"""A training or a test from a config to its end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import RUNNERS

from mmaddp.engine.errors import clear_errors
from mmaddp.engine.preflight import preflight
from mmaddp.engine.resumption import find_newest
from mmaddp.engine.validation import validate
from mmaddp.utils import check_choice, write_json

METRICS_FILE = 'test_metrics.json'


def train(config: Config, resume: str | None = None) -> Any:
    """Train a config in its ``work_dir``.

    Args:
        config: The whole config; see :func:`mmaddp.engine.setup.prepare_run`.
        resume: A checkpoint to resume from, or 'auto' for the newest whole one of ``work_dir``.
            If there is none yet, training starts from the beginning.

    Returns:
        The runner, after training.

    Raises:
        UserError: Whatever is wrong with the config, the data or the checkpoint.
    """
    with clear_errors(config):
        validate(config)
        if resume == 'auto':
            resume = find_newest(config.work_dir)
            if resume is None:
                print(f'{config.work_dir}: nothing to resume yet, training starts anew', flush=True)
        if resume is not None:
            config.resume, config.load_from = True, resume
        preflight(config, 'train')
        runner = RUNNERS.build(config)
        runner.train()
    return runner


def test(config: Config) -> dict[str, float]:
    """Test the weights of ``config.load_from``; the metrics also go to ``test_metrics.json``.

    Returns:
        The metrics by name.

    Raises:
        UserError: Whatever is wrong with the config, the data or the checkpoint.
    """
    with clear_errors(config):
        validate(config)
        preflight(config, 'test')
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
    dataset = config.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.pipeline = config.tta_pipeline
    config.model = {**config.tta_model, 'module': config.model}


def write_predictions(config: Config, path: str) -> None:
    """Have the test write each image's prediction to a pickle file."""
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
    config.setdefault('default_hooks', {})['visualization'] = hook
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
