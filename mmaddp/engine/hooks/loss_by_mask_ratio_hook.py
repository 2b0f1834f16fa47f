"""Logs the loss of pre-training by the share of masked tokens."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_gather
from mmengine.hooks import Hook

from mmaddp.registry import HOOKS

BINS_PER_UNIT = 10


@HOOKS.register_module()
class LossByMaskRatioHook(Hook):
    """Log the loss in bins of the mask ratio, such as ``loss_by_ratio/0.5-0.6``.

    The loss of one iteration says little, for more masked tokens are harder to predict and each
    batch samples its own ratio (figure 12). Logged is MMEngine's mean of the last iterations
    of each bin; batches of all processes count. The values are part of the checkpoint.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Sort the losses of all processes into their bins."""
        if not outputs or 'mask_ratio' not in outputs:
            return
        own = torch.stack([torch.as_tensor(outputs[key]).float() for key in ('mask_ratio', 'loss')])
        bins: dict[str, list[float]] = {}
        for ratio, loss in (each.tolist() for each in all_gather(own.detach())):
            bins.setdefault(bin_of(ratio), []).append(loss)
        for name, losses in bins.items():
            # MMEngine divides the sum of a window's values by the sum of their counts.
            runner.message_hub.update_scalar(
                f'train/loss_by_ratio/{name}', sum(losses), count=len(losses)
            )


def bin_of(ratio: float) -> str:
    """The bin of a mask ratio in [0, 1], '0.5-0.6' for 0.5 and what is below 0.6."""
    # A mean of zeros and ones may come out a little below the ratio that it stands for.
    lower = min(int(ratio * BINS_PER_UNIT + 1e-4), BINS_PER_UNIT - 1)
    return f'{lower / BINS_PER_UNIT:.1f}-{(lower + 1) / BINS_PER_UNIT:.1f}'
