"""Comparison of encoders: one grid of task x method x part of the labels x seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.device import get_device

from mmaddp.checkpoints.files import sha256
from mmaddp.datasets.imagenet_variants import CORRUPTIONS
from mmaddp.engine.resumption import find_newest
from mmaddp.engine.runs import load_config, read_config
from mmaddp.evaluation.per_image import ImageScores
from mmaddp.evaluation.statistics import resample_images
from mmaddp.utils import UserError, atomic_write, check_choice, check_range, write_json
from mmaddp.zoo import located

from .corruptions import evaluate_corruptions
from .costs import (
    FLOPS,
    MEMORY,
    PARAMETERS,
    SPEED,
    encoder_cost,
    images_per_batch,
    newest_of,
    training_cost,
)
from .example_images import CENTER, write_examples
from .logs import iterations_of
from .probing import BEST_FILE, RANDOM, is_probe, prepare_probe, set_encoder
from .probing import probe as run_probe
from .protocol import Fields, check_same, protocol_of
from .results import ResultsFolder, digest, read_json
from .sweep import Metrics, Recipe, remove_checkpoints, run_open, run_stage

PROBE = 'probe'
# Facts of a training, kept with its metrics.
IMAGES, EPOCHS, ITERATIONS, BATCH = 'pretraining_images', 'epochs', 'iterations', 'batch_size'
FACTS = (PARAMETERS, IMAGES, EPOCHS, ITERATIONS, BATCH, FLOPS, SPEED, MEMORY)
# In the work folder of each training.
PROTOCOL_FILE, IMAGES_FILE, BOOTSTRAP_FILE = 'protocol.json', 'per_image.npz', 'bootstrap.npz'
CORRUPTIONS_FOLDER = 'corruptions'


@dataclass(frozen=True)
class Task:
    """A task that all methods are evaluated on.

    Attributes:
        title: Heading on the page.
        metrics: Validation metrics, such as 'accuracy/top1', by their names on the page. The
            overview shows the first.
        options: Config options of all methods by dotted key, such as the shared budget.
        rule: Whether a 'greater' or a 'less' value of the first metric is better.
        labels: Fractions of the labels to train on, each in a table column of its own.
        severities: After each training, test it on the 15 corruptions at these severities (1 to
            5); see :mod:`mmaddp.experiments.corruptions`.
        may_differ: Fields of the protocol that may differ between methods, see
            :func:`mmaddp.experiments.protocol.protocol_of`. The page names them.
    """

    title: str
    metrics: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)
    rule: str = 'greater'
    labels: tuple[float, ...] = (1,)
    severities: tuple[int, ...] = ()
    may_differ: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A method in a task.

    Attributes:
        config: A training config, or a probe's config.
        checkpoint: The encoder, any file that its backbone loads; None for random weights.
        pretrain: The config that trained the checkpoint, if known.
        options: Options of this config by dotted key.
        best_cell: The method whose task 'probe' selects layer and noise level.
    """

    config: str
    checkpoint: str | None = None
    pretrain: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    best_cell: str | None = None

    def check(self, where: str) -> None:
        """Refuse a missing encoder before other trainings take hours."""
        if self.checkpoint is None or located(self.checkpoint).is_file():
            return
        remedy = 'download it or correct the path'
        if self.pretrain:
            folder = Path(self.checkpoint).parent
            remedy = f'python tools/train.py {self.pretrain} --work-dir {folder}'
        raise UserError(f'{where}: the encoder {self.checkpoint} does not exist: {remedy}')


@dataclass(frozen=True)
class Method:
    """A row of the page: its title, its entries by task, and the method it is tested against.

    Tasks may be missing.
    """

    title: str
    entries: dict[str, Entry]
    baseline: str | None = None


class Job(NamedTuple):
    """A cell of the grid."""

    task: str
    method: str
    seed: int
    labels: float = 1

    @property
    def key(self) -> str:
        """Key of the result and work folder."""
        part = '' if self.labels == 1 else f'labels-{self.labels:g}/'
        return f'{self.task}/{self.method}/{part}seed-{self.seed}'


@dataclass(frozen=True)
class Comparison:
    """A whole comparison.

    Attributes:
        title: Heading of the page.
        tasks: Tasks by name, in running order.
        methods: Methods by name.
        seeds: Seeds of the tasks' trainings.
        mark: The position whose similarity to all others is shown, as fractions of height and
            width in [0, 1].
    """

    title: str
    tasks: dict[str, Task]
    methods: dict[str, Method]
    seeds: tuple[int, ...]
    mark: tuple[float, float] = CENTER

    @property
    def baselines(self) -> list[str]:
        """The methods that others are tested against."""
        found = {method.baseline for method in self.methods.values()}
        return [name for name in self.methods if name in found]

    def choose(
        self,
        tasks: Iterable[str] | None = None,
        methods: Iterable[str] | None = None,
        seeds: Iterable[int] | None = None,
    ) -> list[Job]:
        """The selected cells of the grid, seed by seed; all by default."""
        asked = {'--tasks': (tasks, self.tasks), '--methods': (methods, self.methods)}
        asked['--seeds'] = (seeds, self.seeds)
        for option, (names, known) in asked.items():
            for name in names or ():
                check_choice(option, name, list(known))
        return [
            Job(task, method, seed, labels)
            for seed in (seeds or self.seeds)
            for task in self.tasks
            for labels in self.tasks[task].labels
            for method in self.methods
            if task in (tasks or self.tasks)
            and method in (methods or self.methods)
            and task in self.methods[method].entries
        ]

    def entry(self, job: Job) -> Entry:
        """The entry of the cell's method in its task."""
        return self.methods[job.method].entries[job.task]

    def probe_of(self, job: Job) -> str | None:
        """Key of the probe whose best cell the entry uses."""
        name = self.entry(job).best_cell
        return Job(PROBE, name, job.seed).key if name else None

    def source(self, task: str, method: str) -> tuple[str, dict[str, Any]]:
        """Config file and options of a method in a task."""
        entry = self.methods[method].entries[task]
        return entry.config, {**self.tasks[task].options, **entry.options}


def read_comparison(path: str | Path) -> Comparison:
    """Read a file of ``configs/compare``.

    Args:
        path: A config file with ``title``, ``tasks``, ``methods``, ``seeds`` and optionally
            ``baseline`` and ``mark``. A method has a ``title``, optionally a ``baseline`` of its
            own, and the settings of an :class:`Entry` for each task name.

    Raises:
        UserError: Something in it is missing or unknown.
    """
    read = read_config(path).to_dict()
    for key in ('title', 'tasks', 'methods', 'seeds'):
        if key not in read:
            raise UserError(f'{path}: has no {key}: see configs/compare for examples')
    tasks = {
        name: _build(Task, settings, f'{path}: tasks.{name}')
        for name, settings in read['tasks'].items()
    }
    common = read.get('baseline')
    check_choice(f'{path}: baseline', common, [None, *read['methods']])
    methods = {
        name: _build_method(name, {'baseline': common, **row}, read, f'{path}: methods.{name}')
        for name, row in read['methods'].items()
    }
    mark = tuple(read.get('mark', CENTER))
    for share in mark:
        check_range(f'{path}: mark', share, 0, 1)
    return Comparison(read['title'], tasks, methods, tuple(read['seeds']), mark)


def _build_method(name: str, row: Fields, read: Fields, where: str) -> Method:
    known = [None, *read['methods']]
    check_choice(f'{where}.baseline', row['baseline'], known)
    entries = {}
    for task, settings in row.items():
        if task in ('title', 'baseline'):
            continue
        check_choice(f'{where}: task', task, list(read['tasks']))
        entries[task] = _build(Entry, settings, f'{where}.{task}')
        check_choice(f'{where}.{task}.best_cell', entries[task].best_cell, known)
    # A method is not tested against itself.
    baseline = None if row['baseline'] == name else row['baseline']
    return Method(row.get('title', name), entries, baseline)


def _build(kind: type, settings: Any, where: str) -> Any:
    try:
        return kind(**settings)
    except TypeError as error:
        raise UserError(f'{where}: {error}') from None


def compare(
    comparison: Comparison,
    work_dir: str | Path,
    jobs: list[Job],
    report: Callable[[ResultsFolder], None],
    train: Callable[[Config], Metrics] | None = None,
) -> ResultsFolder:
    """Run the missing cells. Several processes may share them.

    Args:
        comparison: The comparison.
        work_dir: Results folder; ``TASK/METHOD/seed-N`` are the work folders of the trainings.
        jobs: Cells from :meth:`Comparison.choose`.
        report: Called after each training.
        train: Trains a config in its ``work_dir``, resuming if possible, and returns the metrics
            of the last validation; :func:`train_here` when None.

    Raises:
        UserError: A config, a checkpoint or data are missing or do not fit, or a cell was run with
            another config or encoder.
    """
    folder, cells = prepare(comparison, work_dir, jobs), {job.key: job for job in jobs}

    def ready(key: str) -> bool:
        probe = comparison.probe_of(cells[key])
        # A cell that needs a best cell waits until its probe has finished.
        return probe is None or probe in folder or probe not in cells

    def run(key: str, path: Path) -> Metrics:
        agree(comparison, folder, cells[key])
        return run_cell(comparison, folder, cells[key], train or train_here)

    for key in filter(ready, cells):
        if has_begun(folder, key):
            agree(comparison, folder, cells[key])
    run_open(folder, cells, run, lambda: report(folder), ready)
    return folder


def prepare(comparison: Comparison, work_dir: str | Path, jobs: list[Job]) -> ResultsFolder:
    """Refuse what cannot be run or compared, and open the results."""
    for task, method in dict.fromkeys(job[:2] for job in jobs):
        comparison.methods[method].entries[task].check(f'{method}, {task}')
        load_config(*comparison.source(task, method))
    folder = ResultsFolder(work_dir)
    check_protocols(comparison, folder, jobs)
    return folder


def run_cell(
    comparison: Comparison,
    folder: ResultsFolder,
    job: Job,
    train: Callable[[Config], Metrics],
) -> Metrics:
    """Train a cell, and keep its protocol, what it finds on each image, and its cost."""
    config, path = cell_config(comparison, folder, job), folder.path / job.key
    write_json(path / PROTOCOL_FILE, protocol_of(config))
    record_images(config)
    facts = {**encoder_cost(config), **images_seen(comparison.entry(job))}
    metrics = {**train(config), **facts, **budget(config), **training_cost(config)}
    found = resample(path)
    if is_probe(config):
        # The training scores the best cell on the images that chose it; these replace its scores.
        metrics.update(found)
    inspect_trained(comparison, job, cell_config(comparison, folder, job))
    remove_checkpoints(path)
    return metrics


def check_protocols(comparison: Comparison, folder: ResultsFolder, jobs: list[Job]) -> None:
    """Refuse, before anything is trained, methods whose numbers could not share a table."""
    tables: dict[tuple[str, float], dict[str, Fields]] = {}
    for job in jobs:
        probe = comparison.probe_of(job)
        if job.seed == jobs[0].seed and (probe is None or probe in folder):
            protocol = protocol_of(cell_config(comparison, folder, job))
            tables.setdefault((job.task, job.labels), {})[job.method] = protocol
    for (task, _), protocols in tables.items():
        check_same(protocols, f'tasks.{task}', comparison.tasks[task].may_differ)


def record_images(config: Config) -> None:
    """Have the evaluation write what it finds on each image."""
    file = str(Path(config.work_dir) / IMAGES_FILE)
    for key in ('val_evaluator', 'test_evaluator'):
        evaluators = config.get(key)
        if isinstance(evaluators, dict):
            config[key] = {'type': 'mmaddp.PerImage', 'metric': evaluators, 'file': file}


def inspect_trained(comparison: Comparison, job: Job, config: Config) -> None:
    """What else is wanted of a trained model, before its checkpoint goes: images, corruptions."""
    checkpoint = None if is_probe(config) else find_newest(config.work_dir)
    if checkpoint is None:
        return
    if job.seed == comparison.seeds[0]:
        write_examples(config, checkpoint, comparison.mark)
    task = comparison.tasks[job.task]
    if task.severities:
        metric = next(iter(task.metrics.values()))
        folder = Path(config.work_dir) / CORRUPTIONS_FOLDER
        evaluate_corruptions(
            config, checkpoint, folder, CORRUPTIONS, task.severities, metric, get_device()
        )


def resample(path: Path) -> Metrics:
    """Write the metrics on all images and on bootstrap samples, once for all later pages.

    Returns:
        The metrics on all images.
    """
    if not (path / IMAGES_FILE).is_file():
        return {}
    scores = ImageScores(path / IMAGES_FILE)
    weights = np.concatenate([np.ones((1, scores.images), int), resample_images(scores.images)])
    rows = [scores.score(one) for one in weights]
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    with atomic_write(path / BOOTSTRAP_FILE) as temporary, open(temporary, 'wb') as file:
        np.savez_compressed(file, images=scores.images, truth=scores.truth, **found)
    return rows[0]


def agree(comparison: Comparison, folder: ResultsFolder, job: Job) -> None:
    """Record config and encoder of a cell; refuse a cell that was begun with others."""
    config, entry = cell_config(comparison, folder, job), comparison.entry(job)
    # The place of the folder is not part of the identity.
    config.work_dir = job.key
    identity = {
        f'config of {job.key}': digest(config.to_dict()),
        f'encoder of {job.key}': file_digest(entry.checkpoint) if entry.checkpoint else None,
    }
    # A training that failed at once, such as for want of data, may be corrected.
    folder.agree(identity, replace=not has_begun(folder, job.key))


def has_begun(folder: ResultsFolder, key: str) -> bool:
    """Whether a cell has a result, or a checkpoint to go on from."""
    return key in folder or any((folder.path / key).glob('*.pth'))


def cell_config(comparison: Comparison, folder: ResultsFolder, job: Job) -> Config:
    """The complete config of a cell, with its encoder."""
    path, options = comparison.source(job.task, job.method)
    if job.labels != 1:
        options = {**options, 'labels': job.labels}
    probe = comparison.probe_of(job)
    if probe:
        if probe not in folder:
            raise UserError(
                f'{job.key} needs the best cell of {probe}, which has not finished: run it first '
                f'with --tasks {PROBE} --methods {comparison.entry(job).best_cell}'
            )
        options = {**options, 'best_cell': str(folder.path / probe / BEST_FILE)}
    config = Recipe(path, options, seed=job.seed).config(folder.path / job.key)
    start_from(config, comparison.entry(job))
    return config


def start_from(config: Config, entry: Entry) -> None:
    """Have the config start from the entry's encoder, or from scratch."""
    if is_probe(config):
        prepare_probe(config, entry.checkpoint or RANDOM)
    else:
        set_encoder(config, entry.checkpoint)


def train_here(config: Config) -> Metrics:
    """Train in this process."""
    if not is_probe(config):
        return run_stage(config)
    config.experiment_name = '_'.join(Path(config.work_dir).parts[-4:])
    run_probe(config, 'auto')
    return probe_metrics(config)


def probe_metrics(config: Config) -> Metrics:
    """The metrics of a finished probe's best cell: ``METRIC/best``."""
    metrics = read_json(Path(config.work_dir) / BEST_FILE)['metrics']
    return {f'{name}/best': value for name, value in metrics.items()}


def budget(config: Config) -> dict[str, int]:
    """Length of a finished training in epochs or iterations, and the images of its batches."""
    loop, images = config.train_cfg, images_per_batch(newest_of(config), config)
    if 'max_epochs' in loop:
        return {EPOCHS: loop.max_epochs, BATCH: images}
    return {ITERATIONS: loop.max_iters, BATCH: images}


def images_seen(entry: Entry) -> dict[str, int]:
    """Number of images seen in pre-training, if checkpoint and config tell."""
    if not (entry.checkpoint and entry.pretrain):
        return {}
    # Published encoders do not say.
    iterations = iterations_of(entry.checkpoint)
    if not iterations:
        return {}
    return {IMAGES: iterations * images_per_batch(entry.checkpoint, load_config(entry.pretrain))}


@cache
def file_digest(path: str) -> str:
    """SHA-256 of a file, computed once for all tasks and seeds."""
    return sha256(path)
