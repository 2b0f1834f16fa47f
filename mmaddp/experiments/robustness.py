"""Evaluation of a classifier on ImageNet-A, -R, -Sketch and -C."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from mmaddp.checkpoints.files import sha256
from mmaddp.datasets import RobustnessPart, find_parts
from mmaddp.engine.data import limit_workers
from mmaddp.engine.runner.weights import load_trained
from mmaddp.engine.runs import clear_errors
from mmaddp.evaluation import summarize
from mmaddp.utils import write_json, write_text

from .results import ResultsFolder, digest, markdown_table

SUMMARY_FILE, TABLE_FILE = 'summary.json', 'robustness.md'


def evaluate_robustness(
    config: Config,
    checkpoint: str | Path,
    data_root: str | Path,
    *,
    work_dir: str | Path,
    datasets: Sequence[str] | None = None,
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str | torch.device = 'cpu',
) -> dict:
    """Measure the top-1 accuracy on each test set and the mean corruption error on ImageNet-C.

    Model, test pipeline and data preprocessor are the config's. Test sets with results in
    ``work_dir`` are skipped unless their number of images has changed.

    Args:
        config: Config of a classifier of ImageNet-1k's 1,000 classes.
        checkpoint: Its weights.
        data_root: Folder of the data sets, see :func:`mmaddp.datasets.find_parts`.
        work_dir: Gets results, a table and a summary.
        datasets: Names of data sets; all available when None.
        batch_size: Batch size; the config's when None.
        num_workers: Processes that load images; the config's when None.
        device: Device of the model.

    Returns:
        The summary of all results in ``work_dir``, see :func:`mmaddp.evaluation.summarize`.

    Raises:
        UserError: Data or checkpoint do not fit, or ``work_dir`` belongs to another model.
    """
    loader = _loader_config(config, batch_size, num_workers)
    parts = find_parts(data_root, datasets)
    folder = ResultsFolder(work_dir, identity_of(config, checkpoint, loader.dataset.pipeline))
    todo = [part for part in parts if not _is_measured(part, folder)]
    print(f'{len(parts)} test sets, {len(parts) - len(todo)} of them already measured', flush=True)
    if todo:
        with clear_errors():
            model = build_trained(config, checkpoint).to(device)
            _evaluate_parts(model, loader, todo, folder)
    summary = summarize(folder.results)
    write_json(folder.path / SUMMARY_FILE, summary)
    write_text(folder.path / TABLE_FILE, format_table(summary) + '\n')
    return summary


def identity_of(config: Config, checkpoint: str | Path, pipeline: list) -> dict[str, str]:
    """Hashes of everything that decides a model's predictions."""
    settings = ConfigDict(
        model=config.model, data_preprocessor=config.get('data_preprocessor'), pipeline=pipeline
    )
    return {'config': digest(settings.to_dict()), 'checkpoint': sha256(Path(checkpoint))}


def build_trained(config: Config, checkpoint: str | Path) -> BaseModel:
    """The config's model in evaluation mode; the checkpoint must hold all its parameters."""
    init_default_scope(config.get('default_scope', 'mmpretrain'))
    # Building writes defaults into the config, which must stay as hashed.
    config = copy.deepcopy(config)
    if config.get('data_preprocessor') is not None:
        config.model.setdefault('data_preprocessor', config.data_preprocessor)
    model = revert_sync_batchnorm(MODELS.build(config.model))
    if (config.model.get('backbone') or {}).get('lora'):
        # A checkpoint of adapters does not hold the encoder.
        model.init_weights()
    load_trained(model, checkpoint, config)
    return model.eval()


def format_table(summary: Mapping[str, Mapping]) -> str:
    """A Markdown table of a summary of :func:`mmaddp.evaluation.summarize`, with its notes."""
    rows = []
    for name, result in summary.items():
        rows += [_row(c, errors, 'ce') for c, errors in result.get('corruptions', {}).items()]
        title, ce = (f'{name} (mean, mCE)', 'mce') if 'mce' in result else (name, 'ce')
        rows.append(_row(title, result, ce))
    header = ['data set', 'images', 'top-1 (%)', 'error (%)', 'CE (%)']
    notes = [f'\nnote: {note}' for result in summary.values() for note in result['notes']]
    return '\n'.join([markdown_table(header, rows), *notes])


def _row(title: str, result: Mapping, ce: str) -> list:
    percents = (result['top1'], result['error'], result.get(ce))
    return [title, result['images'], *(None if p is None else f'{p:.2f}' for p in percents)]


def _loader_config(config: Config, batch_size: int | None, num_workers: int | None) -> ConfigDict:
    """The config's test data loader without its images."""
    loader = config.get('test_dataloader') or config.val_dataloader
    kept = {key: loader[key] for key in ('collate_fn', 'pin_memory') if key in loader}
    return ConfigDict(
        **kept,
        batch_size=batch_size or loader.get('batch_size', 64),
        num_workers=loader.get('num_workers', 0) if num_workers is None else num_workers,
        sampler={'type': 'DefaultSampler', 'shuffle': False},
        dataset={
            'type': 'mmaddp.ImageNetVariant',
            'test_mode': True,
            'pipeline': loader.dataset.pipeline,
        },
    )


def _images_of(part: RobustnessPart) -> dict[str, Any]:
    return {'images': part.images, 'classes': part.classes, 'folder': str(part.folder)}


def _is_measured(part: RobustnessPart, folder: ResultsFolder) -> bool:
    result = folder.get(part.key, {})
    return _images_of(part).items() <= result.items()


def _evaluate_parts(
    model: BaseModel, loader: ConfigDict, parts: list[RobustnessPart], folder: ResultsFolder
) -> None:
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task('images', total=sum(part.images for part in parts))
        for done, part in enumerate(parts, start=1):
            progress.update(task, description=part.key)
            top1 = _evaluate_part(model, loader, part, progress, task)
            folder.add(part.key, {'top1': top1, **_images_of(part)})
            message = f'{part.key}: top-1 {top1:.2f}% of {part.images} images'
            # Not rich's markup: '[1/6]' would be a tag.
            progress.console.out(f'[{done}/{len(parts)}] {message}', highlight=False)


@torch.no_grad()
def _evaluate_part(
    model: BaseModel, loader: ConfigDict, part: RobustnessPart, progress: Progress, task: int
) -> float:
    images = {**loader.dataset, 'variant': part.dataset, 'data_root': str(part.folder)}
    guarded = {'type': 'mmaddp.GuardedDataset', 'dataset': images, 'source': part.key}
    batches = limit_workers(Runner.build_dataloader({**loader, 'dataset': guarded}))
    evaluator = Evaluator({'type': 'mmaddp.SubsetAccuracy'})
    evaluator.dataset_meta = batches.dataset.metainfo
    for batch in batches:
        predictions = model.test_step(batch)
        evaluator.process(predictions)
        progress.advance(task, len(predictions))
    return evaluator.evaluate(len(batches.dataset))['accuracy/top1']
