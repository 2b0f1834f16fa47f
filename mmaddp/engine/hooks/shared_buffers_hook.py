"""Evaluates the same model in all processes."""

from __future__ import annotations

from typing import Any

from mmengine.dist import broadcast
from mmengine.hooks import Hook

from mmaddp.registry import HOOKS


@HOOKS.register_module()
class SharedBuffersHook(Hook):
    """Evaluate with the buffers of the first process, those that a checkpoint holds.

    Each process keeps running statistics of its own images in BatchNorm. A metric over all
    processes would be that of no model.
    """

    # EMAHook puts its average into the model before.
    priority = 'LOW'

    def before_val_epoch(self, runner: Any) -> None:
        """Copy the buffers to all processes."""
        for buffer in runner.model.buffers():
            broadcast(buffer)

    before_test_epoch = before_val_epoch
