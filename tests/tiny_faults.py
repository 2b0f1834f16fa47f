"""What goes wrong in a training on purpose."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from tiny_runs import run_training

from mmaddp.utils import UserError


@HOOKS.register_module()
class Poison(Hook):
    """Makes a weight infinite before or after an iteration, in one of the processes."""

    def __init__(self, iteration: int, after: bool = False, rank: int = 0) -> None:
        self.where, self.after = (iteration, rank), after

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if not self.after and (runner.iter, runner.rank) == self.where:
            spoil(runner.model)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if self.after and (runner.iter, runner.rank) == self.where:
            spoil(runner.model)


def spoil(model: torch.nn.Module) -> None:
    with torch.no_grad():
        list(model.parameters())[-1].fill_(torch.inf)


@HOOKS.register_module()
class StopBefore(Hook):
    """Ends the training before an iteration, as Ctrl-C would."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.iteration:
            raise KeyboardInterrupt


def hold_folder(work_dir: str, marker: Path) -> None:
    """Do as a training that does not end."""
    from mmaddp.engine.resumption import lock_folder

    with lock_folder(work_dir):
        marker.touch()
        signal.pause()


def train_to_the_error(config: Config, path: str) -> None:
    """Train in one of several processes, and leave its error in a file of its own."""
    try:
        run_training(config)
    except UserError as error:
        Path(path + os.environ['RANK']).write_text(str(error))


def run_in_own_group(config: Config) -> None:
    """Train in a process group of its own, to which a signal can be sent."""
    os.setpgid(0, 0)
    run_training(config)
