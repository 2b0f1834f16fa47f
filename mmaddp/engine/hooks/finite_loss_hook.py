"""Ends a training whose loss is no longer a number, before anything of it is saved."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, is_main_process
from mmengine.hooks import Hook
from torch import nn

from mmaddp.engine.optimizers import original_name
from mmaddp.models.inspection import unwrapped
from mmaddp.registry import HOOKS
from mmaddp.utils import UserError, write_text

from .batches import paths_of

_PATHS_SHOWN = 4
_REMEDY = (
    'look at these images, lower optim_wrapper.optimizer.lr, or give --amp bf16 or off where it '
    'was fp16; then go on from the last checkpoint with --resume'
)


class NotFiniteError(UserError):
    """A training diverged: its loss or its weights are no longer finite."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first loss that is not finite, and keep such weights out of checkpoints.

    What is looked at is the loss as the model gave it, not its scaled form: the steps that the
    loss scaling of float16 leaves out pass. MMEngine reads the loss from the device in each
    iteration to log it, so this costs no further wait. All processes stop together.
    """

    priority = 'VERY_HIGH'
    _iteration = 0

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Look at the loss of the iteration.

        Raises:
            NotFiniteError: It is not finite; names the iteration and the batch's files. All of them
                are listed in ``work_dir``.
        """
        self._iteration = runner.iter + 1
        fault = _fault(outputs or {})
        if not _in_any_process(fault):
            return
        own = (fault, paths_of(data_batch)) if fault else None
        faults = [one for one in all_gather_object(own) if one]
        paths = [path for _, batch in faults for path in batch]
        shown = ', '.join(paths[:_PATHS_SHOWN]) or 'files without known paths'
        if len(paths) > _PATHS_SHOWN:
            shown += f' and {len(paths) - _PATHS_SHOWN} more, listed in {_list(runner, paths)}'
        raise NotFiniteError(
            f'iteration {runner.iter + 1}: {faults[0][0]}, so nothing of it is saved; '
            f'the batch was {shown}: {_REMEDY}'
        )

    def before_checkpoint(self, runner: Any) -> None:
        """Look at the weights: a gradient may overflow where the loss is still finite.

        All processes look at their own, each at its shards where the model is sharded.

        Raises:
            NotFiniteError: A weight is not finite, in any of the processes; nothing is written.
        """
        model = unwrapped(runner.model)
        own = _weight_not_finite(model)
        if not _in_any_process(own):
            return
        name = next(one for one in all_gather_object(own) if one)
        raise NotFiniteError(
            f'iteration {self._iteration}: the weight {name} is not finite, so this checkpoint '
            'is not written: set optim_wrapper.clip_grad.max_norm or lower '
            'optim_wrapper.optimizer.lr; then go on from the last one with --resume'
        )


def _in_any_process(fault: str | None) -> bool:
    found = torch.tensor(int(fault is not None))
    all_reduce(found)
    return bool(found)


def _weight_not_finite(model: nn.Module) -> str | None:
    """The first parameter; buffers may hold infinities on purpose, such as masks of attention."""
    names = (name for name, p in model.named_parameters() if not torch.isfinite(p).all())
    name = next(names, None)
    return name and original_name(name)


def _fault(outputs: dict) -> str | None:
    """The terms of the loss that are not finite, or None when the whole is."""
    if 'loss' not in outputs or math.isfinite(_number(outputs['loss'])):
        return None
    terms = {name: _number(value) for name, value in outputs.items() if 'loss' in name}
    wrong = [f'{name} is {value}' for name, value in terms.items() if not math.isfinite(value)]
    return ', '.join(wrong)


def _number(value: Any) -> float:
    return value.item() if torch.is_tensor(value) else float(value)


def _list(runner: Any, paths: list[str]) -> Path:
    path = Path(runner.work_dir) / f'not_finite_iter_{runner.iter + 1}.txt'
    if is_main_process():
        write_text(path, '\n'.join(paths) + '\n')
    return path
