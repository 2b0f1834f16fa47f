"""Seeds what the training step draws from."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from mmaddp.engine.data import seed_everything
from mmaddp.registry import HOOKS


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Before each training step, seed all generators from (seed, iteration, rank).

    Drop path, mixup and the sampling of proposals then draw the same in a run that was resumed,
    though no generator's state is in its checkpoint.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed for the iteration that is about to be trained."""
        seed_everything(runner.base_seed, runner.iter, runner.rank)
