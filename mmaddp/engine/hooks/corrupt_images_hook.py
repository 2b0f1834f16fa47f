"""Counts the training images that were skipped because their files are corrupt."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from mmaddp.registry import HOOKS

from .batches import samples_of

SCALAR = 'train/corrupt_images'


@HOOKS.register_module()
class CorruptImagesHook(Hook):
    """Count the samples whose image was corrupt and replaced, and name each such file once.

    The count, ``corrupt_images`` in the log, is of all processes and goes on when the run is
    resumed. The runner registers this hook when the config says ``skip_corrupt_images=True``.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.count = 0
        self._named: set[str] = set()

    def before_train(self, runner: Any) -> None:
        """Go on from the count of the checkpoint."""
        history = runner.message_hub.log_scalars.get(SCALAR)
        self.count = int(history.current()) if history is not None else 0

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Count what was replaced in the batch."""
        replaced = [one for one in samples_of(data_batch) if 'corrupt_images' in one]
        paths = {path for sample in replaced for path in sample.corrupt_images}
        for path in sorted(paths - self._named):
            # An error, for warnings of all processes but the first are not shown.
            runner.logger.error(f'{path} is corrupt: skipped, another image takes its place')
        self._named |= paths
        count = torch.tensor(len(replaced))
        all_reduce(count)
        self.count += int(count)
        runner.message_hub.update_scalar(SCALAR, self.count)
