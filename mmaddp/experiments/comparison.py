"""Comparison of encoders: one grid of task x method x seed."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Callable, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmaddp.checkpoints.files import sha256
from mmaddp.engine.runs import clear_errors, load_config
from mmaddp.utils import UserError, check_choice
from mmaddp.zoo import located

from .logs import iterations_of
from .probing import BEST_FILE, RANDOM, is_probe, prepare_probe, set_encoder
from .probing import probe as run_probe
from .results import ResultsFolder, digest, read_json
from .sweep import Metrics, Recipe, remove_checkpoints, run_open, run_stage

PROBE = 'probe'
# Facts of a training, kept with its metrics.
PARAMETERS, IMAGES, EPOCHS, ITERATIONS, BATCH = FACTS = (
    'encoder_parameters',
    'pretraining_images',
    'epochs',
    'iterations',
    'batch_size',
)


@dataclass(frozen=True)
class Task:
    """A task that all methods are evaluated on.

    Attributes:
        title: Heading on the page.
        metrics: Validation metrics, such as 'accuracy/top1', by their names on the page. The
            overview shows the first.
        options: Config options of all methods by dotted key, such as the shared budget.
    """

    title: str
    metrics: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)


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
    """A row of the page: its title and its entries by task. Tasks may be missing."""

    title: str
    entries: dict[str, Entry]


class Job(NamedTuple):
    """A cell of the grid."""

    task: str
    method: str
    seed: int

    @property
    def key(self) -> str:
        """Key of the result and work folder."""
        return f'{self.task}/{self.method}/seed-{self.seed}'


@dataclass(frozen=True)
class Comparison:
    """A whole comparison.

    Attributes:
        title: Heading of the page.
        tasks: Tasks by name, in running order.
        methods: Methods by name.
        seeds: Seeds of the tasks' trainings.
    """

    title: str
    tasks: dict[str, Task]
    methods: dict[str, Method]
    seeds: tuple[int, ...]

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
            Job(task, method, seed)
            for seed in (seeds or self.seeds)
            for task in self.tasks
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
        path: A config file with ``title``, ``tasks``, ``methods`` and ``seeds``. A method has a
            ``title`` and the settings of an :class:`Entry` for each task name.

    Raises:
        UserError: Something in it is missing or unknown.
    """
    read = Config.fromfile(str(path)).to_dict()
    tasks = {
        name: _build(Task, settings, f'{path}: tasks.{name}')
        for name, settings in read['tasks'].items()
    }
    methods = {}
    for name, row in read['methods'].items():
        where = f'{path}: methods.{name}'
        entries = {task: settings for task, settings in row.items() if task != 'title'}
        for task in entries:
            check_choice(f'{where}: task', task, list(tasks))
        entries = {task: _build(Entry, one, f'{where}.{task}') for task, one in entries.items()}
        for task, entry in entries.items():
            names = [None, *read['methods']]
            check_choice(f'{where}.{task}.best_cell', entry.best_cell, names)
        methods[name] = Method(row.get('title', name), entries)
    return Comparison(read['title'], tasks, methods, tuple(read['seeds']))


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
    for task, method in dict.fromkeys(job[:2] for job in jobs):
        comparison.methods[method].entries[task].check(f'{method}, {task}')
        load_config(*comparison.source(task, method))
    folder = ResultsFolder(work_dir)
    cells = {job.key: job for job in jobs}

    def ready(key: str) -> bool:
        probe = comparison.probe_of(cells[key])
        # A cell that needs a best cell waits until its probe has finished.
        return probe is None or probe in folder or probe not in cells

    def run(key: str, path: Path) -> Metrics:
        agree(comparison, folder, cells[key])
        config, entry = cell_config(comparison, folder, cells[key]), comparison.entry(cells[key])
        facts = {PARAMETERS: encoder_parameters(config), **budget(config), **images_seen(entry)}
        metrics = {**(train or train_here)(config), **facts}
        remove_checkpoints(path)
        return metrics

    for key in filter(ready, cells):
        agree(comparison, folder, cells[key])
    run_open(folder, cells, run, lambda: report(folder), ready)
    return folder


def agree(comparison: Comparison, folder: ResultsFolder, job: Job) -> None:
    """Record config and encoder of a cell; refuse a cell that was run with others."""
    config, entry = cell_config(comparison, folder, job), comparison.entry(job)
    # The place of the folder is not part of the identity.
    config.work_dir = job.key
    identity = {
        f'config of {job.key}': digest(config.to_dict()),
        f'encoder of {job.key}': file_digest(entry.checkpoint) if entry.checkpoint else None,
    }
    folder.agree(identity)


def cell_config(comparison: Comparison, folder: ResultsFolder, job: Job) -> Config:
    """The complete config of a cell, with its encoder."""
    path, options = comparison.source(job.task, job.method)
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


def encoder_parameters(config: Config) -> int:
    """Number of parameters of the encoder that a config builds."""
    init_default_scope(config.get('default_scope') or 'mmaddp')
    part = copy.deepcopy(config.model if is_probe(config) else config.model.backbone)
    with clear_errors(config), torch.device('meta'):
        built = MODELS.build(part)
    encoder = built.encoder.encoder_module if is_probe(config) else built
    return sum(parameter.numel() for parameter in encoder.parameters())


def budget(config: Config) -> dict[str, int]:
    """Length of a training in epochs or iterations, and its batch size."""
    loop = config.train_cfg
    if 'max_epochs' in loop:
        return {EPOCHS: loop.max_epochs, BATCH: batch_size(config)}
    return {ITERATIONS: loop.max_iters, BATCH: batch_size(config)}


def batch_size(config: Config) -> int:
    """Total batch size of all processes, the one that the learning rate is scaled for."""
    base = (config.get('auto_scale_lr') or {}).get('base_batch_size')
    return base or config.train_dataloader.batch_size


def images_seen(entry: Entry) -> dict[str, int]:
    """Number of images seen in pre-training, if checkpoint and config tell."""
    if not (entry.checkpoint and entry.pretrain):
        return {}
    # Published encoders do not say.
    iterations = iterations_of(entry.checkpoint)
    return {IMAGES: iterations * batch_size(load_config(entry.pretrain))} if iterations else {}


@cache
def file_digest(path: str) -> str:
    """SHA-256 of a file, computed once for all tasks and seeds."""
    return sha256(path)
