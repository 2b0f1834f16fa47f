"""Sweeps in child processes that kill themselves in the middle of a cell."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook

import mmaddp  # noqa: F401
from mmaddp.engine import Runner
from mmaddp.experiments.grid import read_grid
from mmaddp.experiments.noise_study import noise_grid, study_noise_schedules
from mmaddp.experiments.sweep import Recipe, sweep


class Killer(Hook):
    """Kills its process before an iteration of the run whose folder ends in ``folder``."""

    def __init__(self, folder: str, iteration: int) -> None:
        self.folder, self.iteration = folder, iteration

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.work_dir.endswith(self.folder) and runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_at(folder: str, iteration: int) -> None:
    """Have every runner of this process carry a :class:`Killer`."""
    register = Runner.register_hooks

    def register_with_killer(runner: Runner, *args: Any, **kwargs: Any) -> None:
        register(runner, *args, **kwargs)
        runner.register_hook(Killer(folder, iteration))

    Runner.register_hooks = register_with_killer


def run_sweep(config_file: Path, work_dir: Path, grid: list[str], kill: tuple = ()) -> None:
    """Sweep in this process, which may be killed in the folder and iteration of ``kill``."""
    torch.set_num_threads(1)
    if kill:
        kill_at(*kill)
    sweep(Recipe(str(config_file)), read_grid(grid), work_dir)


def run_study(configs: list[Path], work_dir: Path, kill: tuple = ()) -> None:
    """Study two values of a and one of b in this process."""
    torch.set_num_threads(1)
    if kill:
        kill_at(*kill)
    grid = noise_grid([0.1, 1.0], [1.0], 'accuracy/best', 'greater')
    recipes = [Recipe(str(config)) for config in configs]
    study_noise_schedules(*recipes, grid, work_dir)
