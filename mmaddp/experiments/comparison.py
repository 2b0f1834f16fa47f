"""Methods through the same probe, classifier, detector and segmentor, that goes on if killed."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Callable

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmaddp.checkpoints import map_checkpoint
from mmaddp.checkpoints.files import sha256
from mmaddp.engine.explain import clear_errors
from mmaddp.engine.setup import load_config
from mmaddp.utils import UserError

from .comparison_report import IMAGES, PARAMETERS, batch_size, budget, write_plot, write_tables
from .comparison_spec import Comparison, Entry
from .probing import BEST_FILE, RANDOM, is_probe, prepare_probe, probe
from .sweep import Recipe, remove_checkpoints, run_cells, run_stage
from .sweep_grid import Cell, Grid
from .sweep_results import SweepFolder

PROBE = 'probe'
Train = Callable[[Config], dict[str, float]]


def compare(
    comparison: Comparison,
    work_dir: str | Path,
    jobs: Sequence[tuple[str, str, int]],
    train: Train | None = None,
) -> None:
    """Run what is missing; tables are written after every training, their plot at the end.

    Each training is a sweep of one cell in ``TASK/METHOD/seed-N``, with all that a sweep's cell
    has: it resumes, it is locked against other processes, and it is not repeated.

    Args:
        comparison: What is compared.
        work_dir: Where everything goes.
        jobs: As :meth:`Comparison.choose` gives them.
        train: Trains a config in its ``work_dir``, going on from what is there, and gives the
            metrics of the last validation; :func:`train_here` when None.

    Raises:
        UserError: A config, a checkpoint or data are missing or do not fit; or the folder holds
            trainings of other configs or encoders.
    """
    # What does not load should not be found out after hours of others.
    for task, method in dict.fromkeys(job[:2] for job in jobs):
        comparison.methods[method].entries[task].check(f'{method}, {task}')
        load_config(*source_of(comparison, task, method))
    for task, method, seed in jobs:
        print(f'{task}: {method}, seed {seed}', flush=True)
        run_job(comparison, Path(work_dir), (task, method, seed), train or train_here)
        write_tables(comparison, work_dir)
    write_plot(comparison, work_dir)


def run_job(
    comparison: Comparison, work_dir: Path, job: tuple[str, str, int], train: Train
) -> None:
    """Run one training unless it has ended."""
    task, method, seed = job
    entry = comparison.methods[method].entries[task]
    best_cell = find_best_cell(work_dir, entry.best_cell, seed) if entry.best_cell else None
    folder = open_folder(comparison, work_dir, job)

    def config_in(path: str | Path) -> Config:
        path_of_config, options = source_of(comparison, task, method)
        options = {**options, **({'best_cell': best_cell} if best_cell else {})}
        config = Recipe(path_of_config, options, seed=seed).config(path)
        set_encoder(config, entry)
        return config

    def run(cell: Cell, path: Path) -> dict[str, float]:
        config = config_in(path)
        facts = {PARAMETERS: encoder_parameters(config), **budget(config), **images_seen(entry)}
        metrics = {**train(config), **facts}
        remove_checkpoints(path)
        return metrics

    settings = json.dumps(config_in('work_dir').to_dict(), sort_keys=True, default=str)
    folder.check_identity(
        {
            'config': hashlib.sha256(settings.encode()).hexdigest(),
            'encoder': digest(entry.checkpoint) if entry.checkpoint else None,
        }
    )
    run_cells(folder, run)


def open_folder(comparison: Comparison, work_dir: Path, job: tuple[str, str, int]) -> SweepFolder:
    """The folder of one training."""
    task, method, seed = job
    metric = next(iter(comparison.tasks[task].metrics.values()))
    grid = Grid({'seed': {str(seed): {}}}, metric)
    return SweepFolder(work_dir / task / method / f'seed-{seed}', grid)


def source_of(comparison: Comparison, task: str, method: str) -> tuple[str, dict[str, Any]]:
    """The config file of a method in a task, and its options."""
    entry = comparison.methods[method].entries[task]
    return entry.config, {**comparison.tasks[task].options, **entry.options}


def find_best_cell(work_dir: Path, method: str, seed: int) -> str:
    """The best cell of a method's probe with the same seed.

    Raises:
        UserError: There is none yet.
    """
    found = list((work_dir / PROBE / method / f'seed-{seed}').glob(f'cells/*/{BEST_FILE}'))
    if not found:
        raise UserError(
            f'the best cell of {method} is asked for, whose probe has not ended for seed {seed}: '
            f'run it first with --tasks {PROBE} --methods {method}'
        )
    return str(found[0])


def set_encoder(config: Config, entry: Entry) -> None:
    """Have the config start from the entry's encoder, or from scratch.

    Raises:
        UserError: It has no place for an encoder.
    """
    if is_probe(config):
        prepare_probe(config, entry.checkpoint or RANDOM)
        return
    if 'backbone' not in config.model:
        raise UserError(f'{entry.config}: has no model.backbone to be filled by an encoder')
    weights = {'type': 'Pretrained', 'checkpoint': entry.checkpoint}
    config.model.backbone.init_cfg = weights if entry.checkpoint else None


def train_here(config: Config) -> dict[str, float]:
    """Train in this process; metrics are those of the last validation."""
    if not is_probe(config):
        return run_stage(config)
    config.experiment_name = '_'.join(Path(config.work_dir).parts[-4:])
    probe(config, 'auto')
    return probe_metrics(config)


def probe_metrics(config: Config) -> dict[str, float]:
    """What a probe that has ended says."""
    cell = json.loads((Path(config.work_dir) / BEST_FILE).read_text())
    return {'accuracy/best': cell['accuracy']}


def encoder_parameters(config: Config) -> int:
    """Parameters of the encoder that a config builds, as deep as it is used in a dense task."""
    init_default_scope(config.get('default_scope') or 'mmaddp')
    model = copy.deepcopy(config.model)
    holder = model.encoder if is_probe(config) else model
    part = next(name for name in ('backbone', 'encoder', 'network') if name in holder)
    with clear_errors(config), torch.device('meta'):
        encoder = MODELS.build(holder[part])
    return sum(parameter.numel() for parameter in encoder.parameters())


def images_seen(entry: Entry) -> dict[str, int]:
    """How many images the encoder's pre-training saw, where checkpoint and config tell."""
    if not (entry.checkpoint and entry.pretrain):
        return {}
    meta = map_checkpoint(entry.checkpoint).get('meta')
    iterations = meta.get('iter') if isinstance(meta, dict) else None
    batch = batch_size(load_config(entry.pretrain))
    return {IMAGES: iterations * batch} if iterations else {}


@cache
def digest(path: str) -> str:
    """Hash of a file, computed once for all tasks and seeds."""
    return sha256(Path(path))
