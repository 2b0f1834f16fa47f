"""Checkpoints of which a whole one exists at any moment, gradients being accumulated included."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmaddp.registry import HOOKS
from mmaddp.utils import UserError, atomic_write


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """MMEngine's hook, which removes an old checkpoint only after the new one is whole.

    In the middle of a cycle of gradient accumulation the gradients so far are saved too. With
    several processes each has its own, which one file cannot hold: they are averaged first, as the
    step at the cycle's end would. A sharded model's cannot be saved: its checkpoints must come at
    the end of a cycle.
    """

    _averaged_at = -1

    def before_train(self, runner: Any) -> None:
        """Prepare the work folder.

        Raises:
            UserError: The model is sharded and a checkpoint would come in the middle of a cycle.
        """
        super().before_train(runner)
        if not _is_sharded(runner) or self.interval <= 0:
            return
        length = len(runner.train_dataloader) if self.by_epoch else 1
        saves = range(self.save_begin * length, runner.max_iters, self.interval * length)
        counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if any(save % counts for save in saves):
            raise self._in_middle_of_cycle(runner)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Take up the gradients of an unfinished cycle."""
        gradients = checkpoint.get('gradients') if runner._resume else None
        for name, parameter in _bare(runner.model).named_parameters():
            if gradients and name in gradients:
                parameter.grad = gradients[name].to(parameter.device)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Save the gradients of an unfinished cycle beside the optimizer's state."""
        if 'optimizer' in checkpoint and _in_cycle(runner):
            checkpoint['gradients'] = {
                name: parameter.grad.cpu()
                for name, parameter in _bare(runner.model).named_parameters()
                if parameter.grad is not None
            }

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
        self._average_gradients(runner)
        outdated = self._remember(runner, step)
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if not is_main_process():
            return
        with atomic_write(Path(runner.work_dir) / 'last_checkpoint') as temporary:
            temporary.write_text(self.last_ckpt)
        for old in outdated:
            self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old)))

    def _remember(self, runner: Any, step: int) -> list[int]:
        """Note the step and give those to be removed.

        The file that is about to be written lists them still: should the run be killed before
        they are gone, MMEngine removes them when it resumes.
        """
        if self.max_keep_ckpts <= 0:
            return []
        steps = [*(old for old in self.keep_ckpt_ids if old != step), step]
        runner.message_hub.update_info('keep_ckpt_ids', steps)
        self.keep_ckpt_ids = deque(steps, self.max_keep_ckpts)
        return steps[: -self.max_keep_ckpts]

    def _save_best_checkpoint(self, runner: Any, metrics: dict) -> None:
        with self._removals_put_off() as removals:
            super()._save_best_checkpoint(runner, metrics)
        current = {getattr(self, 'best_ckpt_path', None), *_values(self, 'best_ckpt_path_dict')}
        for path in removals:
            if path not in current:
                self._remove(path)

    @contextmanager
    def _removals_put_off(self) -> Iterator[list[str]]:
        backend, postponed = self.file_backend, _RemovalsPutOff(self.file_backend)
        self.file_backend = postponed
        try:
            yield postponed.removals
        finally:
            self.file_backend = backend

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)

    def _in_middle_of_cycle(self, runner: Any) -> UserError:
        every = f'every {self.interval} {"epochs" if self.by_epoch else "iterations"}'
        if self.by_epoch:
            every += f' of {len(runner.train_dataloader)} iterations'
        return UserError(
            'a sharded training cannot save gradients in the middle of their accumulation: let '
            f'default_hooks.checkpoint.interval ({every}), and what else saves, come at multiples '
            f'of optim_wrapper.accumulative_counts={runner.optim_wrapper._accumulative_counts} '
            'iterations'
        )

    def _average_gradients(self, runner: Any) -> None:
        if not _in_cycle(runner) or self._averaged_at == runner.iter:
            return
        if _is_sharded(runner):
            raise self._in_middle_of_cycle(runner)
        self._averaged_at = runner.iter
        parameters = [p for p in _bare(runner.model).parameters() if p.requires_grad]
        # A branch that no sample of this process needed has no gradient here, but may elsewhere.
        somewhere = torch.tensor([float(p.grad is not None) for p in parameters])
        somewhere = somewhere.to(parameters[0].device)
        all_reduce(somewhere, op='sum')
        for parameter, processes in zip(parameters, somewhere.tolist()):
            if processes:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                all_reduce(parameter.grad, op='mean')


class _RemovalsPutOff:
    """A file backend that lists what is to be removed instead of removing it."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.removals: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.removals.append(path)


def _values(owner: Any, name: str) -> list[str]:
    return list(getattr(owner, name, {}).values())


def _bare(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def _is_sharded(runner: Any) -> bool:
    return isinstance(runner.model, FullyShardedDataParallel)


def _in_cycle(runner: Any) -> bool:
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        return False
    return not wrapper.should_update()
