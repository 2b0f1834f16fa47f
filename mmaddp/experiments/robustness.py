"""Evaluates a classifier on ImageNet-A, -R, -Sketch and -C, one test set after another."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from mmaddp.checkpoints import read_model_checkpoint
from mmaddp.datasets import RobustnessPart, find_parts
from mmaddp.engine.explain import clear_errors
from mmaddp.engine.runner.weights import check_weights
from mmaddp.evaluation import summarize
from mmaddp.experiments.robustness_results import ResultsFile, identify_model
from mmaddp.utils import UserError


def evaluate_robustness(
    config: Config,
    checkpoint: str | Path,
    data_root: str | Path,
    *,
    out: str | Path,
    datasets: Sequence[str] | None = None,
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str | torch.device = 'cpu',
) -> dict:
    """Measure the top-1 accuracy on each test set and the mean corruption error on ImageNet-C.

    Model, test pipeline and data preprocessor are the config's. Results are kept in ``out`` after
    each test set; a call with the same model and test set takes them from there.

    Args:
        config: Config of a classifier of ImageNet-1k's 1,000 classes.
        checkpoint: Its weights.
        data_root: Folder with ``imagenet-a``, ``-r``, ``-sketch`` or ``-c``
            (see :func:`mmaddp.datasets.find_parts`).
        out: JSON file of results, written or continued.
        datasets: Which data sets; None takes those that are found.
        batch_size: Images of a batch; None takes the config's.
        num_workers: Processes that load images; None takes the config's.
        device: Where the model runs.

    Returns:
        The summary of all results in ``out``, as :func:`mmaddp.evaluation.summarize` gives it.

    Raises:
        UserError: Data, checkpoint, config or ``out`` do not fit; the message says how.
    """
    loader = _loader_config(config, batch_size, num_workers)
    parts = find_parts(data_root, datasets)
    results = ResultsFile(out, identify_model(config, loader.dataset.pipeline, checkpoint))
    todo = [part for part in parts if not results.has(part)]
    print(f'{len(parts)} test sets, {len(parts) - len(todo)} of them in {out} already', flush=True)
    if todo:
        with clear_errors():
            model = build_classifier(config, checkpoint).to(device)
            _evaluate_parts(model, loader, todo, results)
    return summarize(results.parts)


def build_classifier(config: Config, checkpoint: str | Path) -> BaseModel:
    """Build the config's model in evaluation mode, all its parameters out of a checkpoint.

    Raises:
        UserError: The checkpoint lacks parameters of the model, or has others in shape.
    """
    init_default_scope(config.get('default_scope', 'mmpretrain'))
    # Building writes defaults into its config, which must stay as it is hashed.
    config = copy.deepcopy(config)
    if config.get('data_preprocessor') is not None:
        config.model.setdefault('data_preprocessor', config.data_preprocessor)
    model = revert_sync_batchnorm(MODELS.build(config.model))
    weights = read_model_checkpoint(checkpoint)['state_dict']
    check_weights(model, weights, str(checkpoint), complete=True)
    model.load_state_dict(weights, strict=False)
    return model.eval()


def _loader_config(config: Config, batch_size: int | None, num_workers: int | None) -> ConfigDict:
    """Everything of the config's test data loader that does not name its own images."""
    loader = config.get('test_dataloader') or config.get('val_dataloader')
    if not loader or not loader.get('dataset', {}).get('pipeline'):
        raise UserError(
            f'{config.filename}: no test_dataloader.dataset.pipeline; robustness is evaluated '
            f'with the test pipeline of the config'
        )
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


def _evaluate_parts(
    model: BaseModel, loader: ConfigDict, parts: list[RobustnessPart], results: ResultsFile
) -> None:
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task('images', total=sum(part.images for part in parts))
        for done, part in enumerate(parts, start=1):
            progress.update(task, description=part.key)
            top1 = _evaluate_part(model, loader, part, progress, task)
            results.add(part, top1)
            left = progress.tasks[task].time_remaining
            progress.console.print(
                f'[{done}/{len(parts)}] {part.key}: top-1 {top1:.2f}% of {part.images} images'
                + ('' if left is None else f', {_clock(left)} left'),
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


@torch.no_grad()
def _evaluate_part(
    model: BaseModel, loader: ConfigDict, part: RobustnessPart, progress: Progress, task: int
) -> float:
    images = {**loader.dataset, 'variant': part.dataset, 'data_root': str(part.folder)}
    guarded = {'type': 'mmaddp.GuardedDataset', 'dataset': images, 'source': part.key}
    batches = Runner.build_dataloader({**loader, 'dataset': guarded})
    evaluator = Evaluator({'type': 'mmaddp.SubsetAccuracy'})
    evaluator.dataset_meta = batches.dataset.metainfo
    for batch in batches:
        predictions = model.test_step(batch)
        evaluator.process(predictions)
        progress.advance(task, len(predictions))
    return evaluator.evaluate(len(batches.dataset))['accuracy/top1']


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}'
