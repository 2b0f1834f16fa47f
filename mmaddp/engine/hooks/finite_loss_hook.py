"""Ends a training whose loss is no longer a number, before anything of it is saved."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmaddp.registry import HOOKS
from mmaddp.utils import UserError, atomic_write

from .batches import paths_of

_PATHS_SHOWN = 4
_REMEDY = (
    'look at these images, lower optim_wrapper.optimizer.lr, or give --amp bf16 or off where it '
    'was fp16; then go on from the last checkpoint with --resume'
)


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first loss that is not finite, and keep such weights out of checkpoints.

    What is looked at is the loss as the model gave it, not its scaled form: the steps that the
    loss scaling of float16 leaves out pass. MMEngine reads the loss from the device in each
    iteration to log it, so this costs no further wait. All processes stop together.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Look at the loss of the iteration.

        Raises:
            UserError: It is not finite; names the iteration and the batch's files. All of them
                are listed in ``work_dir``.
        """
        fault = _fault(outputs or {})
        faulty = torch.tensor(int(fault is not None))
        all_reduce(faulty)
        if not faulty:
            return
        own = (fault, paths_of(data_batch)) if fault else None
        faults = [one for one in all_gather_object(own) if one]
        paths = [path for _, batch in faults for path in batch]
        shown = ', '.join(paths[:_PATHS_SHOWN]) or 'files without known paths'
        if len(paths) > _PATHS_SHOWN:
            shown += f' and {len(paths) - _PATHS_SHOWN} more, listed in {_list(runner, paths)}'
        raise UserError(
            f'iteration {runner.iter + 1}: {faults[0][0]}, so nothing of it is saved; '
            f'the batch was {shown}: {_REMEDY}'
        )

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Look at the weights: a gradient may overflow where the loss is still finite.

        Raises:
            UserError: A weight is not finite; nothing is written.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        # Buffers may hold infinities on purpose, such as masks of attention.
        buffers = {name for name, _ in model.named_buffers()}
        for name, value in checkpoint['state_dict'].items():
            if name in buffers or not torch.is_tensor(value) or torch.isfinite(value).all():
                continue
            raise UserError(
                f'iteration {checkpoint["meta"]["iter"]}: the weight {name} is not finite, so '
                'this checkpoint is not written: set optim_wrapper.clip_grad.max_norm or lower '
                'optim_wrapper.optimizer.lr; then go on from the last one with --resume'
            )


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
        with atomic_write(path) as temporary:
            temporary.write_text('\n'.join(paths) + '\n')
    return path
