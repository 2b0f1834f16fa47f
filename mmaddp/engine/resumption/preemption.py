"""Preemption: a scheduler's signal has a training save itself and end, to be started again."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import torch
from mmengine.dist import all_reduce, barrier
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import DataLoader

from mmaddp.registry import HOOKS

from .checkpoints import CheckpointHook, ends_inside_step

# Schedulers send SIGTERM; SIGUSR1 is what users of Slurm ask for some time before the limit.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
REQUEUE = os.EX_TEMPFAIL
"""Exit status of a training that was preempted: 75, start it again with ``--resume``."""


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Saves and ends a training in all processes once one of them was told to end.

    The signal is noted at once and answered after the iteration, so that the resumed training has
    the same bits. The checkpoint is removed when the next regular one is whole.
    """

    # After all hooks that change what a checkpoint holds, and after regular checkpoints.
    priority = 'LOWEST'
    received: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note signals during the body. The caller's handler gets one after the last iteration."""
        with noting_signals(self._note):
            yield
        handler = signal.getsignal(self.received) if self.received else None
        if callable(handler):
            handler(self.received, None)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """End here if any process was told to.

        Raises:
            SystemExit: With status :data:`REQUEUE`, once the checkpoint is written.
        """
        told = torch.tensor(self.received or 0)
        all_reduce(told, op='max')
        # The last iteration has its regular checkpoint; shards cannot be saved within a step.
        if not told or runner.iter + 1 >= runner.max_iters or ends_inside_step(runner):
            return
        path = _checkpoint_hook(runner).save_preempted(runner)
        if _validates_next(runner):
            return  # the next iteration saves again, with the metrics
        barrier()
        line = f'{signal.Signals(int(told)).name}: saved in {path}, exit status {REQUEUE}'
        print_log(f'{line}: go on with --resume', 'current', logging.WARNING)
        raise SystemExit(REQUEUE)

    def _note(self, number: int) -> None:
        self.received = number


@contextmanager
def noting_signals(note: Callable[[int], None]) -> Iterator[None]:
    """Call ``note`` with the number of each signal to end that comes during the body."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python allows handlers in the main thread only
        return
    handlers = {number: signal.signal(number, lambda n, frame: note(n)) for number in SIGNALS}
    try:
        yield
    except SystemExit:
        # A launcher that sees one process end signals the others, which end in the same way.
        raise
    except BaseException:
        _restore(handlers)
        raise
    else:
        _restore(handlers)


def shield_workers(dataloader: DataLoader) -> DataLoader:
    """Keep a signal to all processes of a job from ending workers before the last checkpoint."""
    if dataloader.num_workers:
        dataloader.worker_init_fn = _Shielded(dataloader.worker_init_fn)
    return dataloader


class _Shielded:
    """A ``worker_init_fn`` after which only the worker's parent can end it."""

    def __init__(self, init: Callable[[int], None] | None) -> None:
        self.init = init

    def __call__(self, worker_id: int) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        # A handler of Python does not learn who sent the signal, and torch's parents do send it.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_with_parent, daemon=True).start()
        if self.init:
            self.init(worker_id)


def _end_with_parent() -> None:
    parent = os.getppid()
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid not in (parent, os.getpid()):
        pass
    os._exit(0)


def _restore(handlers: dict) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _checkpoint_hook(runner: Any) -> CheckpointHook:
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            return hook
    hook = CheckpointHook(by_epoch=False)
    hook.before_train(runner)
    return hook


def _validates_next(runner: Any) -> bool:
    """Whether validation comes before the next iteration, which a resumed run would leave out."""
    loop, done = runner.train_loop, runner.iter + 1
    if runner.val_loop is None or not isinstance(loop, IterBasedTrainLoop):
        return False
    return done >= loop.val_begin and done % loop.val_interval == 0
