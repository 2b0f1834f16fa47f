"""Sweeps: a training for each cell of a grid, that go on where they were killed."""

from __future__ import annotations

import argparse
import gc
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import torch
from mmengine.config import Config

from mmaddp.engine.hooks.finite_loss_hook import NotFiniteError
from mmaddp.engine.runs import train
from mmaddp.engine.setup import load_config, prepare_run, set_amp, set_seed
from mmaddp.utils import UserError, atomic_write

from .sweep_grid import Cell, Grid
from .sweep_results import DIVERGED, DONE, OPEN, Result, SweepFolder

_DEFAULT_SEED = 0


@dataclass(frozen=True)
class Recipe:
    """A config file and what all cells change in it.

    Attributes:
        path: The config file.
        options: Options of all cells, by dotted key.
        amp: As for ``tools/train.py``; None leaves the config's.
        seed: The seed of all cells; None takes the config's, or 0 where it has none.
    """

    path: str
    options: dict[str, Any] = field(default_factory=dict)
    amp: str | None = None
    seed: int | None = None

    def config(self, work_dir: str | Path, options: Mapping[str, Any] | None = None) -> Config:
        """The config with further options, ready to be run in ``work_dir``."""
        config = load_config(self.path, {**self.options, **(options or {})})
        run = argparse.Namespace(launcher='none', local_rank=0, work_dir=str(work_dir))
        prepare_run(config, run)
        if self.amp:
            set_amp(config, self.amp)
        seed = (config.get('randomness') or {}).get('seed') if self.seed is None else self.seed
        set_seed(config, _DEFAULT_SEED if seed is None else seed)
        return config

    def identity(self) -> str:
        """A hash of what the cells share."""
        return hashlib.sha256(self.config('work_dir').pretty_text.encode()).hexdigest()

    def check_axes(self, grid: Grid) -> None:
        """Check that every value of every axis, and the final run's options, fit the config.

        Raises:
            UserError: The config has no such option.
        """
        values = (options for axis in grid.axes.values() for options in axis.values())
        for options in (*values, grid.final):
            self.config('work_dir', options)


def sweep(recipe: Recipe, grid: Grid, work_dir: str | Path, keep_checkpoints: bool = False) -> None:
    """Train and validate a config in every cell of a grid.

    What is on the disk decides what is left to do: cells that have ended are not repeated, one
    that was killed resumes its training. The best cell's whole config, with the grid's ``final``
    options, is written to ``best.py`` for the final run.

    Args:
        recipe: The config.
        grid: The options that differ.
        work_dir: Where everything goes; see :class:`SweepFolder`.
        keep_checkpoints: Keep the checkpoints of cells that have ended.

    Raises:
        UserError: Whatever is wrong with the config, the grid or the folder. A training that
            diverges is none of that: the table says so.
    """
    recipe.check_axes(grid)

    def run(cell: Cell, folder: Path) -> dict[str, float]:
        return run_stage(recipe.config(folder, cell.options), keep_checkpoints)

    folder = SweepFolder(work_dir, grid)
    folder.check_identity({'config': recipe.identity()})
    run_cells(folder, run)
    write_best(folder, recipe)


def run_cells(folder: SweepFolder, run: Callable[[Cell, Path], dict[str, float]]) -> None:
    """Run the cells that have not ended and that no other process runs.

    Args:
        folder: The sweep's folder.
        run: Runs a cell in the folder that it is given, and gives its metrics.
    """
    folder.write_tables()
    for cell in folder.cells:
        with folder.claim(cell) as mine:
            if not mine or folder.read(cell).state != OPEN:
                continue
            values = ', '.join(f'{name}={label}' for name, label in cell.labels.items())
            print(f'cell {cell.number} of {len(folder.cells)}: {values}', flush=True)
            folder.write(cell, end_of(run, cell, folder.folder(cell)))
        folder.write_tables()


def end_of(run: Callable[[Cell, Path], dict[str, float]], cell: Cell, path: Path) -> Result:
    """Run a cell to its end; a training that diverges is one too."""
    try:
        return Result(DONE, run(cell, path))
    except UserError as error:
        if isinstance(error.__cause__, NotFiniteError):
            return Result(DIVERGED, reason=str(error))
        raise
    finally:
        # The next cell must find the memory that this one has left.
        gc.collect()
        torch.cuda.empty_cache()


def run_stage(config: Config, keep_checkpoints: bool = True) -> dict[str, float]:
    """Train in the config's ``work_dir``, going on from its newest checkpoint.

    Returns:
        The metrics of the last validation.
    """
    # Runs of one second share MMEngine's logger and message hub unless their names differ.
    config.experiment_name = '_'.join(Path(config.work_dir).parts[-5:])
    runner = train(config, 'auto')
    scalars = {key: log.current() for key, log in runner.message_hub.log_scalars.items()}
    if not keep_checkpoints:
        remove_checkpoints(config.work_dir)
    names = {key: key[len('val/') :] for key in scalars if key.startswith('val/')}
    return {
        name: float(scalars[key])
        for key, name in names.items()
        if name not in ('time', 'data_time')
    }


def remove_checkpoints(work_dir: str | Path) -> None:
    """Remove the checkpoints of a training; its logs stay."""
    for path in Path(work_dir).glob('*.pth'):
        path.unlink()


def write_best(folder: SweepFolder, recipe: Recipe) -> None:
    """Write the config of the best cell so far to ``best.py``, and say so."""
    states = [result.state for result in folder.results().values()]
    ended = f'{len(states) - states.count(OPEN)} of {len(states)} cells have ended'
    diverged = f', {states.count(DIVERGED)} of them diverged' if DIVERGED in states else ''
    print(f'{ended}{diverged}: {folder.path / "results.md"}')
    best = folder.best()
    if best is None:
        return
    cell, score = best
    values = ', '.join(f'{name}={label}' for name, label in cell.labels.items())
    config = recipe.config('work_dir', {**cell.options, **folder.grid.final})
    config.pop('work_dir')
    path = folder.path / 'best.py'
    with atomic_write(path) as temporary:
        header = f'# Cell {cell.number}, {folder.grid.metric} {score:.4f} ({ended}): {values}\n'
        temporary.write_text(header + config.pretty_text)
    print(f'best: cell {cell.number}, {folder.grid.metric} {score:.4f}: {values}')
    print(f'final run: python tools/train.py {path}')
