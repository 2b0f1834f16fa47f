"""Robustness of detectors, segmentors and classifiers to the 15 corruptions of ImageNet-C."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmaddp.datasets.corruptions import VERSION
from mmaddp.datasets.imagenet_variants import CORRUPTIONS, SEVERITIES
from mmaddp.engine.data import guard_evaluation, leaf_of, limit_workers
from mmaddp.engine.runs import clear_errors
from mmaddp.utils import UserError, check_choice, write_json, write_text

from .results import ResultsFolder, markdown_table
from .robustness import build_trained, identity_of

SUMMARY_FILE, TABLE_FILE, CLEAN = 'summary.json', 'corruptions.md', 'clean'
# The metric of a library that results are told by.
MAIN_METRICS = ('coco/segm_mAP', 'coco/bbox_mAP', 'mIoU', 'accuracy/top1')
Metrics = dict[str, float]


def evaluate_corruptions(
    config: Config,
    checkpoint: str | Path,
    work_dir: str | Path,
    corruptions: Sequence[str] = CORRUPTIONS,
    severities: Sequence[int] = SEVERITIES,
    metric: str | None = None,
    device: str | torch.device = 'cpu',
) -> dict[str, Any]:
    """Test a model on clean and on corrupted images, and summarize one metric.

    Images, pipeline and metrics are those of the config's test. What ``work_dir`` holds is not
    measured again.

    Args:
        config: Config of any model with a test.
        checkpoint: Its weights.
        work_dir: Gets results, a table and a summary.
        corruptions: Names of corruptions.
        severities: 1 to 5.
        metric: The metric of the summary; that of the library when None.
        device: Device of the model.

    Returns:
        See :func:`summarize_corruptions`.

    Raises:
        UserError: Weights or data do not fit, or ``work_dir`` belongs to another model.
    """
    for names, known in ((corruptions, CORRUPTIONS), (severities, SEVERITIES)):
        for name in names:
            check_choice('corruption', name, known)
    pipeline = list(leaf_of(config.test_dataloader.dataset).pipeline)
    # Results of another version of the corruptions do not count.
    steps = [*pipeline, {'corruptions': VERSION}]
    folder = ResultsFolder(work_dir, identity_of(config, checkpoint, steps))
    parts = [CLEAN, *(f'{name}/{severity}' for name in corruptions for severity in severities)]
    todo = [part for part in parts if part not in folder]
    if todo:
        with clear_errors(config):
            model = build_trained(config, checkpoint).to(device)
            for number, part in enumerate(todo, start=1):
                folder.add(part, measure(model, config, part))
                print(f'[{number}/{len(todo)}] {part}', flush=True)
    summary = summarize_corruptions({part: folder[part] for part in parts}, metric)
    write_json(folder.path / SUMMARY_FILE, summary)
    write_text(folder.path / TABLE_FILE, format_corruptions(summary) + '\n')
    return summary


@torch.no_grad()
def measure(model: BaseModel, config: Config, part: str) -> Metrics:
    """The metrics of the config's test on images with one corruption, or on clean ones."""
    loader = corrupted(config.test_dataloader, part)
    batches = limit_workers(Runner.build_dataloader(guard_evaluation(loader, 'test_dataloader')))
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = batches.dataset.metainfo
    for batch in batches:
        evaluator.process(data_samples=model.test_step(batch), data_batch=batch)
    metrics = evaluator.evaluate(len(batches.dataset))
    return {name: float(value) for name, value in metrics.items() if is_number(value)}


def corrupted(dataloader: ConfigDict, part: str) -> ConfigDict:
    """A dataloader's config whose images are corrupted right after they were loaded."""
    dataloader = ConfigDict(dataloader.to_dict())
    if part != CLEAN:
        name, severity = part.split('/')
        leaf = leaf_of(dataloader.dataset)
        loads = [i for i, one in enumerate(leaf.pipeline) if 'LoadImage' in one['type']]
        if not loads:
            raise UserError('test_dataloader.dataset.pipeline: has no LoadImageFromFile')
        transform = dict(type='mmaddp.Corrupt', corruption=name, severity=int(severity))
        leaf.pipeline = [*leaf.pipeline]
        leaf.pipeline.insert(loads[0] + 1, transform)
    return dataloader


def is_number(value: Any) -> bool:
    """Whether a metric is a scalar."""
    return isinstance(value, (int, float)) or getattr(value, 'ndim', 1) == 0


def summarize_corruptions(
    results: Mapping[str, Metrics], metric: str | None = None
) -> dict[str, Any]:
    """Mean performance under corruption (Michaelis et al. 2019, section 3.2).

    Args:
        results: Metrics by part, 'clean' and such as 'fog/3'.
        metric: The metric to summarize.

    Returns:
        ``metric``, its value on ``clean`` images, ``corruptions`` (the mean over severities of
        each), ``mpc`` (the mean over corruptions) and ``rpc`` (``mpc`` as a share of ``clean``).
    """
    known = results[CLEAN]
    if metric is None:
        metric = next((name for name in MAIN_METRICS if name in known), next(iter(known)))
    check_choice('--metric', metric, list(known))
    values: dict[str, list[float]] = {}
    for part, metrics in results.items():
        if part != CLEAN:
            values.setdefault(part.split('/')[0], []).append(metrics[metric])
    means = {name: statistics.fmean(found) for name, found in values.items()}
    clean, mpc = known[metric], statistics.fmean(means.values())
    rpc = mpc / clean if clean else None
    return {'metric': metric, CLEAN: clean, 'corruptions': means, 'mpc': mpc, 'rpc': rpc}


def format_corruptions(summary: Mapping[str, Any]) -> str:
    """The summary as a Markdown table."""
    relative = f' ({100 * summary["rpc"]:.1f} % of clean)' if summary['rpc'] else ''
    rows = [[CLEAN, summary[CLEAN]], *summary['corruptions'].items()]
    return (
        f'{markdown_table(["images", summary["metric"]], rows)}\n\n'
        f'mean under corruption: {summary["mpc"]:.4g}{relative}'
    )
