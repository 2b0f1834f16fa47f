"""What a comparison compares, read from a config file: methods, tasks and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmaddp.engine.explain import first_line
from mmaddp.utils import UserError, check_choice


@dataclass(frozen=True)
class Task:
    """What all methods are put through.

    Attributes:
        title: What a page calls it.
        metrics: Names of validation metrics, such as 'accuracy/top1', by what a page calls them;
            the first one is in the overview.
        options: Options of the configs of all methods, by dotted key: the budget that they share.
    """

    title: str
    metrics: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A method in a task.

    Attributes:
        config: The training config, or one of ``tools/probe.py``.
        checkpoint: The encoder, any file that its backbone takes; None starts from scratch, or
            probes random weights.
        pretrain: The config that the checkpoint was trained with, where that can be done here.
        options: Options of this config, by dotted key.
        best_cell: The method by whose task 'probe' the layer, and the noise level, is chosen.
    """

    config: str
    checkpoint: str | None = None
    pretrain: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    best_cell: str | None = None

    def check(self, where: str) -> None:
        """Refuse an encoder that is not there.

        Args:
            where: Method and task, for the message.

        Raises:
            UserError: Names the command that makes it.
        """
        if self.checkpoint is None or Path(self.checkpoint).is_file():
            return
        remedy = 'download it or mend the path'
        if self.pretrain:
            folder = Path(self.checkpoint).parent
            remedy = f'python tools/train.py {self.pretrain} --work-dir {folder}'
        raise UserError(f'{where}: the encoder {self.checkpoint} does not exist: {remedy}')


@dataclass(frozen=True)
class Method:
    """A row of the page.

    Attributes:
        title: What a page calls it.
        entries: By task; not every method need be in every task.
    """

    title: str
    entries: dict[str, Entry]


@dataclass(frozen=True)
class Comparison:
    """A whole comparison.

    Attributes:
        title: The heading of the page.
        tasks: By name, in the order that they are run in.
        methods: By name.
        seeds: Of the trainings of the tasks; encoders are given.
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
    ) -> list[tuple[str, str, int]]:
        """Task, method and seed of each training, all when None; seed by seed.

        Raises:
            UserError: Something is asked for that the comparison does not have.
        """
        asked = {'--tasks': (tasks, self.tasks), '--methods': (methods, self.methods)}
        asked['--seeds'] = (seeds, self.seeds)
        for option, (names, known) in asked.items():
            for name in names or ():
                check_choice(option, name, list(known))
        return [
            (task, method, seed)
            for seed in (seeds or self.seeds)
            for task in self.tasks
            for method in self.methods
            if task in (tasks or self.tasks)
            and method in (methods or self.methods)
            and task in self.methods[method].entries
        ]


def read_comparison(path: str | Path) -> Comparison:
    """Read a file of ``configs/compare``.

    Args:
        path: A config file with ``title``, ``tasks``, ``methods`` and ``seeds``; a method has
            ``title`` and, by the names of tasks, the settings of an :class:`Entry`.

    Raises:
        UserError: It is missing, does not run, or something in it is missing or unknown.
    """
    if not Path(path).is_file():
        raise UserError(f'{path}: no such file; take one of configs/compare')
    try:
        read = Config.fromfile(str(path)).to_dict()
    except Exception as error:
        raise UserError(f'{path}: {type(error).__name__}: {first_line(error)}') from error
    for key in ('title', 'tasks', 'methods', 'seeds'):
        if not read.get(key):
            raise UserError(f'{path}: it has no {key}; take a file of configs/compare for a model')
    tasks = {name: build(Task, one, f'{path}: tasks.{name}') for name, one in read['tasks'].items()}
    methods = {
        name: build_method(one, tasks, f'{path}: methods.{name}')
        for name, one in read['methods'].items()
    }
    for name, method in methods.items():
        for task, entry in method.entries.items():
            check_choice(
                f'{path}: methods.{name}.{task}.best_cell', entry.best_cell, [None, *methods]
            )
    return Comparison(read['title'], tasks, methods, tuple(read['seeds']))


def build_method(settings: Mapping, tasks: Mapping, where: str) -> Method:
    """A method from the settings of a file.

    Raises:
        UserError: It has no title, or is in a task that does not exist.
    """
    entries = {name: one for name, one in settings.items() if name != 'title'}
    for name in entries:
        check_choice(f'{where}: task', name, list(tasks))
    if 'title' not in settings:
        raise UserError(f'{where}: needs the key title')
    built = {name: build(Entry, one, f'{where}.{name}') for name, one in entries.items()}
    return Method(settings['title'], built)


def build(kind: type, settings: Any, where: str) -> Any:
    """A dataclass from the settings of a file.

    Raises:
        UserError: A key is missing or unknown.
    """
    if not isinstance(settings, Mapping):
        raise UserError(f'{where}: must be a dict, not {settings!r}')
    for key in settings:
        check_choice(f'{where}: key', key, [one.name for one in fields(kind)])
    try:
        return kind(**settings)
    except TypeError as error:
        missing = str(error).rsplit(': ', 1)[-1]
        raise UserError(f'{where}: needs the key {missing}') from None
