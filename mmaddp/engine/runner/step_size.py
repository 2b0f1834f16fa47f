"""The batch by which learning rates scale."""

from __future__ import annotations

from typing import Any

from mmengine.logging import print_log


def base_of_batches(auto_scale_lr: dict | None, optim_wrapper: Any) -> dict | None:
    """Have MMEngine, which looks at one batch, scale by all the batches of an optimizer step.

    Args:
        auto_scale_lr: The config's, whose ``base_batch_size`` is in images of one optimizer step.
        optim_wrapper: The wrapper that may accumulate gradients.

    Returns:
        The same with ``base_batch_size`` in images of one of the step's batches.
    """
    accumulated = getattr(optim_wrapper, '_accumulative_counts', 1)
    if accumulated == 1 or not (auto_scale_lr and auto_scale_lr.get('enable')):
        return auto_scale_lr
    print_log(f'One optimizer step sees {accumulated} batches.', 'current')
    return {**auto_scale_lr, 'base_batch_size': auto_scale_lr['base_batch_size'] / accumulated}
