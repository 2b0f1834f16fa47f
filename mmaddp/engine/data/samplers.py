"""Samplers that say where in the training a sample is drawn, and that can start in the middle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any

from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from torch.utils.data import DataLoader, Sampler

from mmaddp.registry import DATA_SAMPLERS


class PositionedIndex(int):
    """A dataset index that knows its epoch and its draw, counted over all processes."""

    epoch: int
    draw: int

    def __new__(cls, index: int, epoch: int = 0, draw: int = 0) -> PositionedIndex:
        """Make an index; it behaves as the plain integer wherever it goes."""
        self = super().__new__(cls, index)
        self.epoch, self.draw = epoch, draw
        return self


class _Skippable:
    """Passes over a fresh inner sampler; the next pass may start after some of its items.

    Samplers keep state between passes (an infinite one its generator, one that groups by aspect
    ratio its buckets), so each pass has a new one: what it gives depends on the epoch alone.
    """

    epoch = 0
    _started: Iterator | None = None

    def _new_pass(self) -> Iterator:
        raise NotImplementedError

    def skip(self, count: int) -> int:
        """Make the next pass start after its first ``count`` items, without loading any data.

        Returns:
            How many items were skipped: fewer than ``count`` when the pass is shorter.
        """
        self._started = self._new_pass()
        return sum(1 for _ in islice(self._started, count))

    def __iter__(self) -> Iterator:
        # A dataloader with workers makes two iterators and draws from the second alone, so nothing
        # may be taken before the first item is asked for.
        started, self._started = self._started, None
        yield from self._new_pass() if started is None else started

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the passes that start from now on."""
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class PositionedSampler(_Skippable, Sampler):
    """Gives another sampler's indices as :class:`PositionedIndex`.

    Item ``k`` of the process with this rank is draw ``rank + k * world_size`` of the epoch. Thus
    one process and several draw the same samples with the same positions.

    Args:
        dataset: What the inner sampler draws from.
        sampler: Config of the inner sampler.
        seed: Seed of the order, the same in all processes.
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
        inner = self._build()
        if hasattr(inner, 'set_epoch'):
            inner.set_epoch(self.epoch)
        rank, world_size = get_dist_info()
        epoch = self.epoch
        for k, index in enumerate(inner):
            yield PositionedIndex(index, epoch, rank + k * world_size)

    def __len__(self) -> int:
        return len(self._inner)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):
            raise AttributeError(name)
        return getattr(self._inner, name)


@DATA_SAMPLERS.register_module()
class SkippableBatchSampler(_Skippable, Sampler):
    """Gives another batch sampler's batches, and can start in the middle of them.

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
        """Choose the epoch of the passes that start from now on."""
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._inner)


def skip_batches(dataloader: DataLoader, count: int) -> int:
    """Make the next pass over ``dataloader`` start after ``count`` batches, loading nothing.

    Returns:
        How many batches were skipped: fewer than ``count`` when the pass has fewer.
    """
    if isinstance(dataloader.batch_sampler, SkippableBatchSampler):
        return dataloader.batch_sampler.skip(count)
    skipped = dataloader.sampler.skip(count * dataloader.batch_size) / dataloader.batch_size
    return math.floor(skipped) if dataloader.drop_last else math.ceil(skipped)
