"""What the engine uses of the private names of MMEngine and torch, each with its reason.

Holds for mmengine 0.10.7, onedl-mmengine 0.10.12 and torch 2.1 to 2.14. A new version of either is
checked against this file.
"""

from __future__ import annotations

from typing import Any

# Strategies have no public module. All versions.
from mmengine._strategy import FSDPStrategy as MMEngineFSDPStrategy
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from torch import nn


def is_resuming(runner: Any) -> bool:
    """Whether the loaded checkpoint is one to resume from. Runners do not tell. All versions."""
    return runner._resume


def mark_loaded(runner: Any) -> None:
    """Keep the runner from loading ``load_from`` once more before it trains. All versions."""
    runner._has_loaded = True


def finish_epoch(loop: Any) -> None:
    """Count an epoch; ``epoch`` is read-only. All versions."""
    loop._epoch += 1


def accumulative_counts(optim_wrapper: Any) -> int:
    """Batches of one optimizer step; no public name tells. All versions."""
    return getattr(optim_wrapper, '_accumulative_counts', 1)


class OpenCheckpointHook(MMEngineCheckpointHook):
    """MMEngine's hook with public names for its two ways to save. All versions."""

    def save_step(self, runner: Any, step: int, meta: dict) -> None:
        """Save the checkpoint of an epoch or iteration."""
        super()._save_checkpoint_with_step(runner, step, meta)

    def save_if_best(self, runner: Any, metrics: dict) -> None:
        """Save the checkpoint if its metrics are the best so far."""
        super()._save_best_checkpoint(runner, metrics)

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
        self.save_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Any, metrics: dict) -> None:
        self.save_if_best(runner, metrics)


class OpenFSDPStrategy(MMEngineFSDPStrategy):
    """MMEngine's strategy with public names for the steps of ``prepare``. All versions."""

    def setup_distributed(self, launcher: str, backend: str = 'nccl', **kwargs: Any) -> None:
        """Join the other processes."""
        super()._setup_distributed(launcher, backend, **kwargs)

    def wrap_model(self, model: nn.Module) -> nn.Module:
        """Shard the model."""
        return super()._wrap_model(model)

    def scaling(self, auto_scale_lr: Any) -> Any:
        """The ``auto_scale_lr`` to use in place of the config's."""
        return auto_scale_lr

    def _setup_distributed(self, launcher: str, backend: str = 'nccl', **kwargs: Any) -> None:
        self.setup_distributed(launcher, backend, **kwargs)

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        return self.wrap_model(model)

    def _scale_lr(self) -> None:
        self._auto_scale_lr = self.scaling(self._auto_scale_lr)
        super()._scale_lr()
