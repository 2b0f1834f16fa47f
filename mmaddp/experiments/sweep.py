"""Sweeps: one training for each cell of a grid, continued where they were killed."""

from __future__ import annotations

import argparse
import csv
import gc
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import torch
from mmengine.config import Config

from mmaddp.engine.hooks.finite_loss_hook import NotFiniteError
from mmaddp.engine.runs import load_config, prepare_run, set_amp, set_seed, train
from mmaddp.utils import UserError, atomic_write, write_text

from .grid import Cell, Grid
from .results import ResultsFolder, digest, markdown_table

DONE, DIVERGED, OPEN = 'done', 'diverged', 'open'
Metrics = dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """A config file and what all cells change in it.

    Attributes:
        path: The config file.
        options: Options of all cells, by dotted key.
        amp: As for ``tools/train.py``; None leaves the config's.
        seed: The seed of all cells; None takes the config's, or 0.
    """

    path: str
    options: dict[str, Any] = field(default_factory=dict)
    amp: str | None = None
    seed: int | None = None

    def config(self, work_dir: str | Path, options: Mapping[str, Any] | None = None) -> Config:
        """The config with further options, ready to run in ``work_dir``."""
        config = load_config(self.path, {**self.options, **(options or {})})
        run = argparse.Namespace(launcher='none', local_rank=0, work_dir=str(work_dir))
        prepare_run(config, run)
        if self.amp:
            set_amp(config, self.amp)
        seed = (config.get('randomness') or {}).get('seed') if self.seed is None else self.seed
        set_seed(config, seed or 0)
        return config

    def identity(self) -> str:
        """A hash of what the cells share."""
        return digest(self.config('work_dir').to_dict())

    def check(self, grid: Grid) -> None:
        """Find out before the first cell whether every option of the grid fits the config."""
        values = (options for axis in grid.axes.values() for options in axis.values())
        for options in (*values, grid.final):
            self.config('work_dir', options)


class SweepFolder(ResultsFolder):
    """The results of a grid's cells, with their table ``results.csv`` and ``results.md``.

    Args:
        path: The folder; ``cells/NNN`` are the work folders of the trainings.
        grid: What is swept.
        identity: What else decides the results.
    """

    def __init__(
        self, path: str | Path, grid: Grid, identity: Mapping[str, Any] | None = None
    ) -> None:
        # Metric, rule and final run only follow from the results: they may change.
        super().__init__(path, {**(identity or {}), 'axes': grid.axes})
        self.grid, self.cells = grid, grid.cells

    def state(self, cell: Cell) -> str:
        """'done', 'diverged' or 'open'."""
        return self.get(cell.key, {}).get('state', OPEN)

    def score(self, cell: Cell) -> float | None:
        """The metric that ranks cells; None where the cell has none."""
        if self.state(cell) != DONE:
            return None
        metrics = self[cell.key]['metrics']
        if self.grid.metric not in metrics:
            known = ', '.join(sorted(metrics)) or 'none: val_interval may be too long'
            raise UserError(f'--metric {self.grid.metric} was not validated; there are: {known}')
        return metrics[self.grid.metric]

    def best(self) -> tuple[Cell, float] | None:
        """The best cell so far, the first of equals, and its score."""
        scored = [(cell, self.score(cell)) for cell in self.cells]
        ranked = sorted((pair for pair in scored if _is_number(pair[1])), key=self._rank)
        return ranked[0] if ranked else None

    def write_tables(self) -> None:
        """Write ``results.csv`` in the grid's order and ``results.md``, the best first."""
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
        return sign * pair[1] if _is_number(pair[1]) else math.inf


def sweep(recipe: Recipe, grid: Grid, work_dir: str | Path, keep_checkpoints: bool = False) -> None:
    """Train and validate a config in every cell of a grid.

    Cells that have ended are not repeated; one that was killed resumes its training. A training
    that diverges is a result. ``best.py`` is the best cell's config for the final run.

    Args:
        recipe: The config.
        grid: The options that differ.
        work_dir: See :class:`SweepFolder`.
        keep_checkpoints: Keep the checkpoints of cells that have ended.

    Raises:
        UserError: Config and grid do not fit, or the folder belongs to another sweep.
    """
    recipe.check(grid)

    def run(cell: Cell, path: Path) -> Metrics:
        return run_stage(recipe.config(path, cell.options), keep_checkpoints)

    folder = SweepFolder(work_dir, grid, {'config': recipe.identity()})
    sweep_cells(folder, run)
    write_best(folder, recipe)


def sweep_cells(folder: SweepFolder, run: Callable[[Cell, Path], Metrics]) -> None:
    """Run the open cells of a grid."""
    cells = {cell.key: cell for cell in folder.cells}
    run_open(folder, cells, lambda key, path: run(cells[key], path), folder.write_tables)


def run_open(
    folder: ResultsFolder,
    keys: Iterable[str],
    run: Callable[[str, Path], Metrics],
    report: Callable[[], None],
    ready: Callable[[str], bool] = lambda key: True,
) -> None:
    """Run the trainings that have no result and that no other process runs.

    Args:
        folder: Where their results are.
        keys: Their keys, which are their work folders too.
        run: Gives the metrics of a key, trained in the folder that it is given.
        report: Called before the first and after each.
        ready: Whether a key has what it needs; otherwise it stays open.
    """
    keys = list(keys)
    report()
    for number, key in enumerate(keys, start=1):
        with folder.claim(key) as mine:
            if not mine or key in folder or not ready(key):
                continue
            print(f'{number} of {len(keys)}: {folder.path / key}', flush=True)
            (folder.path / key).mkdir(parents=True, exist_ok=True)
            folder.add(key, outcome(run, key, folder.path / key))
        report()


def outcome(run: Callable[[str, Path], Metrics], key: str, path: Path) -> dict[str, Any]:
    """Run a training to its end; divergence is one too."""
    try:
        return {'state': DONE, 'metrics': run(key, path)}
    except UserError as error:
        if isinstance(error.__cause__, NotFiniteError):
            return {'state': DIVERGED, 'reason': str(error)}
        raise
    finally:
        # The next training needs the memory of this one.
        gc.collect()
        torch.cuda.empty_cache()


def run_stage(config: Config, keep_checkpoints: bool = True) -> Metrics:
    """Train in the config's ``work_dir``, from its newest checkpoint on.

    Returns:
        The metrics of the last validation.
    """
    # Runs of one second share MMEngine's logger and message hub unless their names differ.
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
    """Remove the checkpoints of a training; its logs stay."""
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
    config = recipe.config('work_dir', {**cell.options, **folder.grid.final})
    config.pop('work_dir')
    path = folder.path / 'best.py'
    found = f'cell {cell.number}, {folder.grid.metric} {score:.4f}'
    write_text(path, f'# Best is {found} ({ended}): {cell}\n{config.pretty_text}')
    print(f'best: {found}: {cell}\nfinal run: python tools/train.py {path}')


def _is_number(score: float | None) -> bool:
    return score is not None and math.isfinite(score)


def _short(header: Sequence[str]) -> list[str]:
    """Option names after their last dot, where that is unambiguous."""
    last = [name.rsplit('.', 1)[-1] for name in header]
    return [short if last.count(short) == 1 else name for short, name in zip(last, header)]
