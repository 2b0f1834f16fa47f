"""Data order and randomness as functions of the position in the training.

A position is (seed, epoch, draw) for data and (seed, iteration, rank) for the training step. No
generator's state is saved or needed. A resumed run seeks to its position without loading what was
trained on already.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from itertools import islice
from typing import Any, NoReturn

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterLoop
from torch.utils.data import DataLoader, Sampler

from mmaddp.engine.private import finish_epoch
from mmaddp.registry import DATA_SAMPLERS, HOOKS, LOOPS
from mmaddp.utils import UserError


def derive_seed(*position: int) -> int:
    """Mix non-negative integers into one seed of 64 bits; neighbors do not correlate."""
    return int(np.random.SeedSequence(position).generate_state(1, np.uint64)[0])


def seed_data(*position: int) -> None:
    """Seed what data pipelines draw from: Python, NumPy and torch's CPU generator."""
    seed = derive_seed(*position)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    # torch.manual_seed would also queue a seed for CUDA: a stack trace per sample in each worker.
    torch.default_generator.manual_seed(seed)


def seed_everything(*position: int) -> None:
    """Seed Python, NumPy and torch on every device."""
    seed_data(*position)
    torch.manual_seed(derive_seed(*position))


@contextmanager
def keep_random_state() -> Iterator[None]:
    """Restore the generators of Python, NumPy and torch after the body."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


class PositionedIndex(int):
    """A dataset index that knows its epoch and its draw, counted over all processes."""

    epoch: int
    draw: int

    def __new__(cls, index: int, epoch: int = 0, draw: int = 0) -> PositionedIndex:
        """Make an index, which behaves as the plain integer."""
        self = super().__new__(cls, index)
        self.epoch, self.draw = epoch, draw
        return self


class _Skippable(ABC):
    """Iterates over an inner sampler, from any item of an epoch on."""

    epoch = 0
    _started: Iterator | None = None

    @abstractmethod
    def _new_pass(self) -> Iterator: ...

    def skip(self, count: int) -> int:
        """Start the next iteration after its first ``count`` items; load no data.

        Returns:
            The number of items skipped, less than ``count`` when there are fewer.
        """
        self._started = self._new_pass()
        return sum(1 for _ in islice(self._started, count))

    def __iter__(self) -> Iterator:
        # A generator, so that nothing runs before the first item is asked for: a dataloader with
        # workers makes two iterators and uses only the second, which must get the skipped pass.
        started, self._started = self._started, None
        yield from self._new_pass() if started is None else started

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the iterations that start from now on."""
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class PositionedSampler(_Skippable, Sampler):
    """Turns another sampler's indices into :class:`PositionedIndex`.

    Args:
        dataset: What the inner sampler samples from.
        sampler: Config of the inner sampler.
        seed: Seed of the order, equal in all processes.
    """

    def __init__(self, dataset: Sized, sampler: dict, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self._config = sampler
        self._inner = self._build()

    def _build(self) -> Any:
        defaults = {'dataset': self.dataset, 'seed': self.seed}
        return MMENGINE_DATA_SAMPLERS.build(self._config, default_args=defaults)

    def _new_pass(self) -> Iterator[PositionedIndex]:
        # Samplers keep state between epochs (a generator, buckets of aspect ratios). The order of
        # a new one depends on the epoch alone.
        inner = self._build()
        if hasattr(inner, 'set_epoch'):
            inner.set_epoch(self.epoch)
        rank, world_size = get_dist_info()
        epoch = self.epoch
        for k, index in enumerate(inner):
            # Numbered over all processes: their number does not change a position's sample.
            yield PositionedIndex(index, epoch, rank + k * world_size)

    def __len__(self) -> int:
        return len(self._inner)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):
            raise AttributeError(name)
        return getattr(self._inner, name)


@DATA_SAMPLERS.register_module()
class SkippableBatchSampler(_Skippable, Sampler):
    """Another batch sampler's batches, from any of them on.

    Args:
        sampler: The sampler of single indices.
        batch_size: Images in a batch.
        batch_sampler: Config of the inner batch sampler.
    """

    def __init__(self, sampler: PositionedSampler, batch_size: int, batch_sampler: dict) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self._config = batch_sampler
        self._inner = self._build()

    def _build(self) -> Any:
        defaults = {'sampler': self.sampler, 'batch_size': self.batch_size}
        return MMENGINE_DATA_SAMPLERS.build(self._config, default_args=defaults)

    def _new_pass(self) -> Iterator[list[int]]:
        return iter(self._build())

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the iterations that start from now on."""
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._inner)


def skip_batches(dataloader: DataLoader, count: int) -> int:
    """Start the next iteration over ``dataloader`` after ``count`` batches; load no data.

    Returns:
        The number of batches skipped, less than ``count`` when there are fewer.
    """
    if isinstance(dataloader.batch_sampler, SkippableBatchSampler):
        return dataloader.batch_sampler.skip(count)
    skipped = dataloader.sampler.skip(count * dataloader.batch_size) / dataloader.batch_size
    return math.floor(skipped) if dataloader.drop_last else math.ceil(skipped)


class EndlessBatches:
    """Batches of epoch after epoch, from iteration ``start`` on.

    Args:
        dataloader: A dataloader whose samplers can skip.
        start: The number of finished iterations.
    """

    def __init__(self, dataloader: DataLoader, start: int) -> None:
        self._dataloader = dataloader
        self._start = start
        self._advances_to_come = start
        self._epoch = 0
        self._batches: Any = None

    def skip_iter(self, count: int) -> None:
        """Advance past finished iterations."""
        self._advances_to_come -= count

    def __iter__(self) -> EndlessBatches:
        return self

    def __next__(self) -> Any:
        # MMEngine's loop advances past finished iterations: 0.10.7 takes that many batches, later
        # versions call skip_iter. Both cost nothing, since the samplers seek.
        if self._advances_to_come > 0:
            self._advances_to_come -= 1
            return None
        if self._batches is None:
            self._batches = self._seek()
        try:
            return next(self._batches)
        except StopIteration:
            return self._first_of_next_epoch()

    def _seek(self) -> Any:
        to_skip = self._start
        while to_skip:
            skipped = skip_batches(self._dataloader, to_skip)
            if skipped == to_skip:
                break
            if skipped == 0:
                _refuse_no_batch()
            to_skip -= skipped
            self._next_epoch()
        return iter(self._dataloader)

    def _first_of_next_epoch(self) -> Any:
        self._next_epoch()
        self._batches = iter(self._dataloader)
        try:
            return next(self._batches)
        except StopIteration:
            _refuse_no_batch()

    def _next_epoch(self) -> None:
        self._epoch += 1
        batch_sampler = self._dataloader.batch_sampler
        getattr(batch_sampler, 'set_epoch', batch_sampler.sampler.set_epoch)(self._epoch)


def _refuse_no_batch() -> NoReturn:
    raise UserError(
        'train_dataloader gives no batch: its images are fewer than batch_size (of all processes) '
        'and drop_last is set: lower train_dataloader.batch_size or give drop_last=False'
    )


def _validate_end(runner: Any) -> None:
    """Validate a training resumed at its end."""
    # A kill may have cut off the last validation, which follows the last checkpoint.
    if runner.val_loop is not None:
        runner.val_loop.run()


@LOOPS.register_module()
class IterBasedTrainLoop(MMEngineIterLoop):
    """MMEngine's loop over iterations; resumes at any iteration without loading earlier ones."""

    def run(self) -> Any:
        """Train from the current iteration to the last."""
        if hasattr(self.dataloader.sampler, 'skip') or hasattr(
            self.dataloader.batch_sampler, 'skip'
        ):
            self.fast_forward_on_resume = False
            self.dataloader_iterator = EndlessBatches(self.dataloader, self.iter)
        at_end = self.iter >= self.max_iters
        model = super().run()
        if at_end:
            _validate_end(self.runner)
        return model


@LOOPS.register_module()
class EpochBasedTrainLoop(MMEngineEpochLoop):
    """MMEngine's loop over epochs; also resumes inside an epoch."""

    def run(self) -> Any:
        """Train from the current epoch to the last."""
        if len(self.dataloader) == 0:
            _refuse_no_batch()
        at_end = self.epoch >= self.max_epochs
        model = super().run()
        if at_end:
            _validate_end(self.runner)
        return model

    def run_epoch(self) -> None:
        """Train the rest of the current epoch."""
        done = self.iter - self.epoch * len(self.dataloader)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        if done > 0:
            skip_batches(self.dataloader, done)
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook('after_train_epoch')
        finish_epoch(self)


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seeds all generators from (seed, iteration, rank) before each training step.

    A resumed run then has the same drop paths, mixup and sampled proposals.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed for the coming iteration."""
        seed_everything(runner.base_seed, runner.iter, runner.rank)
