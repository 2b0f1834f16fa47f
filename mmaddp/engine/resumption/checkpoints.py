"""A whole checkpoint exists at any moment, and a killed run resumes from the newest."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn
from zipfile import ZipFile

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, all_reduce, is_main_process
from mmengine.logging import print_log
from mmengine.optim import OptimWrapperDict
from torch.distributed.fsdp import FullyShardedDataParallel

from mmaddp.checkpoints import map_checkpoint, meta_of
from mmaddp.engine.private import OpenCheckpointHook, accumulative_counts, is_resuming
from mmaddp.models.inspection import unwrapped
from mmaddp.registry import HOOKS
from mmaddp.utils import UserError, write_text

PREEMPTED = 'preempted.pth'
_NUMBERED = re.compile(r'(?:epoch|iter)_(\d+)\.pth$')


def resolve_resume(config: Config) -> Config:
    """Turn ``resume=True`` into a checkpoint, and its seed where the config has none.

    The checkpoint is ``load_from``, or else the newest whole one of ``work_dir``. If there is none,
    training starts from the beginning.

    Raises:
        UserError: ``load_from`` is missing, broken or holds no training state.
    """
    config = config.copy()
    if not config.get('load_from'):
        config.load_from = find_newest(config.work_dir)
    if config.load_from is None:
        print_log(f'{config.work_dir} has no checkpoint: starting from the beginning', 'current')
        config.resume = False
        return config
    meta = read_training(config.load_from)['meta']
    randomness = config.get('randomness') or {}
    if randomness.get('seed') is None and meta.get('seed') is not None:
        config.randomness = {**randomness, 'seed': meta['seed']}
    return config


def check_agreement(chosen: str | None) -> None:
    """Check that all processes resume from the same checkpoint, or none does.

    Raises:
        UserError: They differ; raised in every process.
    """
    choices = all_gather_object(chosen)
    if len(set(choices)) > 1:
        listed = ', '.join(f'process {rank}: {path}' for rank, path in enumerate(choices))
        raise UserError(
            f'the processes would resume from different checkpoints ({listed}): work_dir must be '
            'a folder that all machines share'
        )


def find_newest(work_dir: str | Path) -> str | None:
    """The newest whole checkpoint in ``work_dir``, or None.

    This is the one that ``last_checkpoint`` names, or a later step written after it.
    """
    # A run killed between the two writes leaves the name one step behind.
    named = _named_by_pointer(Path(work_dir))
    folder = named.parent if named else Path(work_dir)
    for path in _candidates(folder, named):
        try:
            read_training(path)
        except UserError as error:
            print_log(f'not resuming from a broken file: {error}', 'current', logging.WARNING)
        else:
            return str(path)
    return None


def read_training(path: str | Path) -> dict[str, Any]:
    """A checkpoint to resume from, its tensors left on the disk; ``meta`` has the position.

    Executes nothing from the file.

    Raises:
        UserError: The file is missing, broken anywhere, unsafe or holds no training state.
    """
    checkpoint = map_checkpoint(path)
    if not {'meta', 'optimizer'} <= checkpoint.keys():
        raise UserError(
            f'{path} holds weights but no training state: start from it with '
            '--cfg-options load_from=PATH instead of --resume'
        )
    status = Path(path).stat()
    damaged = _damaged_part(path, status.st_size, status.st_mtime_ns)
    if damaged:
        raise UserError(f'{path}: damaged: the checksum of {damaged} is wrong; take an older one')
    return checkpoint


@lru_cache
def _damaged_part(path: str | Path, size: int, modified: int) -> str | None:
    """The first part of a file of PyTorch whose checksum is wrong."""
    # Reads the whole file: once, as long as it stays the same.
    with ZipFile(path) as archive:
        return archive.testzip()


@contextmanager
def lock_folder(work_dir: str | Path) -> Iterator[None]:
    """Keep other trainings out of a work folder.

    Raises:
        UserError: Another process trains there.
    """
    path = Path(work_dir) / '.lock'
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'a+') as lock:
        try:
            # Ends with this process, however it ends. Other than flock, it is not inherited by the
            # workers of dataloaders, which outlive it for seconds, and NFS has it on all hosts.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                lock.seek(0)
                raise UserError(
                    f'{work_dir}: {lock.read() or "another process"} trains there: end it, or give '
                    'another --work-dir'
                ) from None
            print_log(f'{path}: no locks here ({error.strerror})', 'current', logging.WARNING)
        lock.truncate(0)
        lock.write(f'process {os.getpid()} on {socket.gethostname()}')
        lock.flush()
        yield


def remove_leftovers(work_dir: str | Path) -> None:
    """Remove the temporary files of killed writes from ``work_dir``."""
    for pattern in ('.*.pth.*.tmp', '.last_checkpoint.*.tmp'):
        for path in Path(work_dir).glob(pattern):
            path.unlink(missing_ok=True)


def _named_by_pointer(work_dir: Path) -> Path | None:
    pointer = work_dir / 'last_checkpoint'
    if not pointer.is_file():
        return None
    named = Path(os.fsdecode(pointer.read_bytes()).strip().replace('\0', ''))
    # A folder that was moved keeps its checkpoints but not the paths inside its files.
    for path in (named, work_dir / named.name):
        with suppress(OSError):  # garbage may be too long for a path
            if path.is_file():
                return path
    print_log(f'{pointer} names no file: taking the last one written', 'current', logging.WARNING)
    return None


def _candidates(folder: Path, named: Path | None) -> list[Path]:
    """Checkpoints, the preferred one first."""
    numbered = [
        path for path in folder.glob('*.pth') if _step(path) is not None or path.name == PREEMPTED
    ]
    numbered.sort(key=_written_at, reverse=True)
    if named is None:
        return numbered
    later = [path for path in numbered if _follows(path, named)]
    return [*later, named, *(path for path in numbered if path != named and path not in later)]


def _follows(path: Path, named: Path) -> bool:
    """Whether a file was written after another and holds a later step."""
    # Time alone misleads in a copied folder, the step alone in a reused one. Files of the same
    # instant are not of one run: training lies between two checkpoints.
    newer = path.stat().st_mtime_ns > named.stat().st_mtime_ns
    return newer and (_step(path) or 0) > (_step(named) or 0)


def _step(path: Path) -> int | None:
    match = _NUMBERED.match(path.name)
    return int(match.group(1)) if match else None


def _written_at(path: Path) -> tuple[int, int]:
    return path.stat().st_mtime_ns, _step(path) or 0


@HOOKS.register_module()
class CheckpointHook(OpenCheckpointHook):
    """MMEngine's hook, but old checkpoints are removed only after the new one is whole.

    In the middle of a gradient accumulation cycle it saves the gradients too, averaged over the
    processes. Sharded gradients cannot be saved: checkpoints of a sharded model must come at the
    end of a cycle.
    """

    _averaged_at = -1

    def check_interval(self, runner: Any) -> None:
        """Refuse to save a sharded training in the middle of an accumulation cycle."""
        if not _is_sharded(runner) or self.interval <= 0:
            return
        length = len(runner.train_dataloader) if self.by_epoch else 1
        saves = range(self.save_begin * length, runner.max_iters, self.interval * length)
        counts = accumulative_counts(runner.optim_wrapper)
        if any(save % counts for save in saves):
            self._refuse_middle_of_cycle(runner)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Restore the gradients of an unfinished cycle."""
        gradients = checkpoint.get('gradients') if is_resuming(runner) else None
        for name, parameter in unwrapped(runner.model).named_parameters():
            if gradients and name in gradients:
                parameter.grad = gradients[name].to(parameter.device)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Save what the model says of itself, and the gradients of an unfinished cycle."""
        checkpoint['meta']['mmaddp'] = meta_of(unwrapped(runner.model))
        if 'optimizer' in checkpoint and _in_cycle(runner):
            checkpoint['gradients'] = {
                name: parameter.grad.cpu()
                for name, parameter in unwrapped(runner.model).named_parameters()
                if parameter.grad is not None
            }

    def save_step(self, runner: Any, step: int, meta: dict) -> None:
        """Save the checkpoint of an epoch or iteration, then remove those it outdates."""
        self._average_gradients(runner)
        if is_main_process():
            remove_leftovers(runner.work_dir)
        outdated = [self.filename_tmpl.format(old) for old in self._remember(runner, step)]
        self._write(
            runner,
            self.filename_tmpl.format(step),
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
        )
        if is_main_process():
            for name in (*outdated, PREEMPTED):
                self._remove(self.file_backend.join_path(self.out_dir, name))

    def save_preempted(self, runner: Any) -> str:
        """Save all that the next iteration needs, wherever the training is; returns the file."""
        self._average_gradients(runner)
        self._write(runner, PREEMPTED, by_epoch=False)
        return self.last_ckpt

    def _write(self, runner: Any, filename: str, **options: Any) -> None:
        self.last_ckpt = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename,
            self.file_client_args,
            backend_args=self.backend_args,
            **options,
            **self.args,
        )
        if is_main_process():
            write_text(Path(runner.work_dir) / 'last_checkpoint', self.last_ckpt)

    def _remember(self, runner: Any, step: int) -> list[int]:
        """Note the step and return those to be removed."""
        # The new checkpoint still lists them. If the run is killed before they are removed,
        # MMEngine removes them on resumption.
        if self.max_keep_ckpts <= 0:
            return []
        steps = [*(old for old in self.keep_ckpt_ids if old != step), step]
        runner.message_hub.update_info('keep_ckpt_ids', steps)
        self.keep_ckpt_ids = deque(steps, self.max_keep_ckpts)
        return steps[: -self.max_keep_ckpts]

    def save_if_best(self, runner: Any, metrics: dict) -> None:
        """Save the checkpoint if its metrics are the best, then remove the previous best."""
        with self._removals_put_off() as removals:
            super().save_if_best(runner, metrics)
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

    def _refuse_middle_of_cycle(self, runner: Any) -> NoReturn:
        every = f'every {self.interval} {"epochs" if self.by_epoch else "iterations"}'
        if self.by_epoch:
            every += f' of {len(runner.train_dataloader)} iterations'
        raise UserError(
            'a sharded training cannot save gradients in the middle of their accumulation: let '
            f'default_hooks.checkpoint.interval ({every}), and what else saves, come at multiples '
            f'of optim_wrapper.accumulative_counts={accumulative_counts(runner.optim_wrapper)} '
            'iterations'
        )

    def _average_gradients(self, runner: Any) -> None:
        if not _in_cycle(runner) or self._averaged_at == runner.iter:
            return
        if _is_sharded(runner):
            self._refuse_middle_of_cycle(runner)
        self._averaged_at = runner.iter
        parameters = [p for p in unwrapped(runner.model).parameters() if p.requires_grad]
        # A branch that no sample of this process used has no gradient here, but may elsewhere.
        somewhere = torch.tensor([float(p.grad is not None) for p in parameters])
        somewhere = somewhere.to(parameters[0].device)
        all_reduce(somewhere, op='sum')
        for parameter, processes in zip(parameters, somewhere.tolist()):
            if processes:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                all_reduce(parameter.grad, op='mean')


class _RemovalsPutOff:
    """A file backend that lists removals instead of doing them."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.removals: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.removals.append(path)


def _values(owner: Any, name: str) -> list[str]:
    return list(getattr(owner, name, {}).values())


def _is_sharded(runner: Any) -> bool:
    return isinstance(runner.model, FullyShardedDataParallel)


def ends_inside_step(runner: Any) -> bool:
    """Whether a checkpoint cannot be written here: shards would lose accumulated gradients."""
    return _is_sharded(runner) and _in_cycle(runner)


def _in_cycle(runner: Any) -> bool:
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        return False
    return not wrapper.should_update()
