"""Sweeps: a training per cell of a grid, resumed after interruptions."""

from __future__ import annotations

import csv
import gc
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Callable

import torch
from mmengine.config import Config

from mmaddp.engine.hooks.finite_loss_hook import NotFiniteError
from mmaddp.engine.resumption import REQUEUE, noting_signals
from mmaddp.engine.runs import complete_run, load_config, set_amp, set_seed, train
from mmaddp.engine.validation import check_weights_files
from mmaddp.utils import UserError, atomic_write, check_choice, write_text

from .grid import Cell, Grid
from .results import ResultsFolder, digest, markdown_table

DONE, DIVERGED, OPEN = 'done', 'diverged', 'open'
Metrics = dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """A config file with settings that all cells share.

    Attributes:
        path: The config file.
        options: Config options by dotted key.
        amp: As ``--amp`` of ``tools/train.py``; the config's when None.
        seed: The config's, or 0, when None.
    """

    path: str
    options: dict[str, Any] = field(default_factory=dict)
    amp: str | None = None
    seed: int | None = None

    def config(self, work_dir: str | Path, options: Mapping[str, Any] | None = None) -> Config:
        """The config with further options, ready to run in ``work_dir``."""
        config = load_config(self.path, {**self.options, **(options or {})})
        config.launcher = 'none'
        os.environ.setdefault('LOCAL_RANK', '0')
        complete_run(config, work_dir, Path(self.path).stem)
        if self.amp:
            set_amp(config, self.amp)
        seed = (config.get('randomness') or {}).get('seed') if self.seed is None else self.seed
        set_seed(config, seed or 0)
        return config

    def identity(self) -> str:
        """Hash of the config that the cells share."""
        return digest(self.config('work_dir').to_dict())

    def check(self, grid: Grid) -> None:
        """Validate every option of the grid before the first cell."""
        values = (options for axis in grid.axes.values() for options in axis.values())
        for options in (*values, grid.final):
            check_weights_files(options)
            self.config('work_dir', options)


class SweepFolder(ResultsFolder):
    """The results of a grid's cells, with their table ``results.csv`` and ``results.md``.

    Args:
        path: The folder; ``cells/NNN`` are the work folders of the trainings.
        grid: The grid.
        identity: Everything else that decides the results.
    """

    def __init__(
        self, path: str | Path, grid: Grid, identity: Mapping[str, Any] | None = None
    ) -> None:
        # Metric, rule and final run do not affect the results and may change.
        super().__init__(path, {**(identity or {}), 'axes': grid.axes})
        self.grid, self.cells = grid, grid.cells

    def state(self, cell: Cell) -> str:
        """'done', 'diverged' or 'open'."""
        return self.get(cell.key, {}).get('state', OPEN)

    def score(self, cell: Cell) -> float | None:
        """The metric that ranks cells; None if open or diverged."""
        if self.state(cell) != DONE:
            return None
        metrics = self[cell.key]['metrics']
        check_choice('--metric', self.grid.metric, metrics)
        return metrics[self.grid.metric]

    def best(self) -> tuple[Cell, float] | None:
        """The best cell so far and its score; the first on ties."""
        scored = [(cell, self.score(cell)) for cell in self.cells]
        ranked = sorted((pair for pair in scored if _is_number(pair[1])), key=self._rank)
        return ranked[0] if ranked else None

    def write_tables(self) -> None:
        """Write ``results.csv`` in grid order and ``results.md``, best first."""
        header = [*self.grid.axes, self.grid.metric, 'state']
        scores = [(cell, self.score(cell)) for cell in self.cells]
        with atomic_write(self.path / 'results.csv') as temporary, open(temporary, 'w') as file:
            rows = (self._row(*pair) for pair in scores)
            csv.writer(file, lineterminator='\n').writerows([['cell', *header], *rows])
        rows = (self._row(*pair) for pair in sorted(scores, key=self._rank))
        table = markdown_table(['cell', *_short(header)], rows)
        write_text(self.path / 'results.md', table + '\n')

    def _row(self, cell: Cell, score: float | None) -> list:
        return [cell.number, *cell.labels.values(), score, self.state(cell)]

    def _rank(self, pair: tuple[Cell, float | None]) -> float:
        sign = -1 if self.grid.rule == 'greater' else 1
        # Open and diverged cells come last under either rule.
        return sign * pair[1] if _is_number(pair[1]) else math.inf


def sweep(
    recipe: Recipe,
    grid: Grid,
    work_dir: str | Path,
    keep_checkpoints: bool = False,
    array: Callable[..., None] | None = None,
) -> None:
    """Train and validate a config in every cell of a grid.

    Finished cells are skipped and interrupted ones resume. Divergence counts as a result.
    ``best.py`` gets the best cell's config for the final run.

    Args:
        recipe: The config.
        grid: The swept options.
        work_dir: See :class:`SweepFolder`.
        keep_checkpoints: Keep the checkpoints of finished cells.
        array: Runs the open cells in a job array instead of this process: called with the folder,
            the keys, and a function that runs a key; see :mod:`mmaddp.experiments.job_arrays`.

    Raises:
        UserError: Config and grid do not fit, or the folder belongs to another sweep.
    """
    recipe.check(grid)

    def run(cell: Cell, path: Path) -> Metrics:
        return run_stage(recipe.config(path, cell.options), keep_checkpoints)

    folder = SweepFolder(work_dir, grid, {'config': recipe.identity()})
    if array is None:
        sweep_cells(folder, run)
    else:
        array(folder, [cell.key for cell in folder.cells], partial(run_alone, folder, run))
        folder.write_tables()
    write_best(folder, recipe)


def sweep_cells(folder: SweepFolder, run: Callable[[Cell, Path], Metrics]) -> None:
    """Run the open cells of a grid."""
    cells = {cell.key: cell for cell in folder.cells}
    run_open(folder, cells, lambda key, path: run(cells[key], path), folder.write_tables)


def run_alone(folder: SweepFolder, run: Callable[[Cell, Path], Metrics], key: str) -> dict:
    """The result of one cell, which nothing else in the folder is touched for."""
    (cell,) = (cell for cell in folder.cells if cell.key == key)
    return outcome(lambda key, path: run(cell, path), key, folder.path / key)


def run_open(
    folder: ResultsFolder,
    keys: Iterable[str],
    run: Callable[[str, Path], Metrics],
    report: Callable[[], None],
    ready: Callable[[str], bool] = lambda key: True,
) -> None:
    """Run the trainings without a result that no other process runs.

    Args:
        folder: Their results.
        keys: Their keys, also their work folders.
        run: Trains a key in a work folder and returns the metrics.
        report: Called before the first and after each.
        ready: Whether a key can run; otherwise it stays open.

    Raises:
        SystemExit: With status 75, after a signal to end. A training saves itself first; what
            follows a training is finished first.
    """
    keys, signals = list(keys), []
    report()
    with noting_signals(signals.append):
        for number, key in enumerate(keys, start=1):
            if signals:
                print(f'exit status {REQUEUE}: run the same command to continue', flush=True)
                raise SystemExit(REQUEUE)
            with folder.claim(key) as mine:
                # Another process may have finished it while this one waited for the claim.
                if not mine or key in folder or not ready(key):
                    continue
                print(f'{number} of {len(keys)}: {folder.path / key}', flush=True)
                (folder.path / key).mkdir(parents=True, exist_ok=True)
                folder.add(key, outcome(run, key, folder.path / key))
            report()


def outcome(run: Callable[[str, Path], Metrics], key: str, path: Path) -> dict[str, Any]:
    """The result of a training that finishes or diverges."""
    try:
        return {'state': DONE, 'metrics': run(key, path)}
    except UserError as error:
        # A divergence is what the cell has to tell; other errors end the sweep.
        if isinstance(error.__cause__, NotFiniteError):
            return {'state': DIVERGED, 'reason': str(error)}
        raise
    finally:
        # Free the memory for the next training.
        gc.collect()
        torch.cuda.empty_cache()


def run_stage(config: Config, keep_checkpoints: bool = True) -> Metrics:
    """Train in the config's ``work_dir``, resuming from its newest checkpoint.

    Returns:
        The metrics of the last validation.
    """
    # MMEngine names runs by the second; equal names would share logger and message hub.
    config.experiment_name = '_'.join(Path(config.work_dir).parts[-5:])
    runner = train(config, 'auto')
    if not keep_checkpoints:
        remove_checkpoints(config.work_dir)
    scalars = runner.message_hub.log_scalars
    names = {key: key[len('val/') :] for key in scalars if key.startswith('val/')}
    return {
        name: float(scalars[key].current())
        for key, name in names.items()
        if name not in ('time', 'data_time')
    }


def remove_checkpoints(work_dir: str | Path) -> None:
    """Remove the checkpoints of a training, not its logs."""
    for path in Path(work_dir).glob('*.pth'):
        path.unlink()


def write_best(folder: SweepFolder, recipe: Recipe) -> None:
    """Write the config of the best cell so far to ``best.py``."""
    states = [folder.state(cell) for cell in folder.cells]
    ended = f'{len(states) - states.count(OPEN)} of {len(states)} cells have ended'
    diverged = f', {states.count(DIVERGED)} of them diverged' if DIVERGED in states else ''
    print(f'{ended}{diverged}: {folder.path / "results.md"}')
    best = folder.best()
    if best is None:
        return
    cell, score = best
    # A placeholder: the final run gets a folder of its own.
    config = recipe.config('work_dir', {**cell.options, **folder.grid.final})
    config.pop('work_dir')
    path = folder.path / 'best.py'
    found = f'cell {cell.number}, {folder.grid.metric} {score:.4f}'
    write_text(path, f'# Best is {found} ({ended}): {cell}\n{config.pretty_text}')
    print(f'best: {found}: {cell}\nfinal run: python tools/train.py {path}')


def _is_number(score: float | None) -> bool:
    return score is not None and math.isfinite(score)


def _short(header: Sequence[str]) -> list[str]:
    """Option names after their last dot where unambiguous."""
    last = [name.rsplit('.', 1)[-1] for name in header]
    return [short if last.count(short) == 1 else name for short, name in zip(last, header)]
