import itertools
import pickle
from collections import Counter
from contextlib import ExitStack, contextmanager
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import DATA_SAMPLERS
from tiny_runs import RandomNumbers  # noqa: F401
from torch.utils.data import DataLoader

from mmaddp.engine.data import SeededDataset
from mmaddp.engine.resumption.positions import (
    EndlessBatches,
    PositionedIndex,
    PositionedSampler,
    SkippableBatchSampler,
    skip_batches,
)
from mmaddp.utils import UserError

KINDS = ('DefaultSampler', 'InfiniteSampler')
MANY = 60


def sampler(kind: str, length: int, rank: int = 0, world_size: int = 1, seed: int = 5):
    where = (rank, world_size)
    with as_process(where):
        made = PositionedSampler(range(length), {'type': kind, 'shuffle': True}, seed)
    made.take = lambda count=MANY: _take(made, count, where)
    return made


@contextmanager
def as_process(where):
    with ExitStack() as patches:
        for module in ('mmengine.dataset.sampler', 'mmaddp.engine.resumption.positions'):
            patches.enter_context(mock.patch(f'{module}.get_dist_info', return_value=where))
        yield


def _take(made, count, where):
    with as_process(where):
        return [(int(i), i.epoch, i.draw) for i in itertools.islice(made, count)]


@given(
    kind=st.sampled_from(KINDS),
    length=st.integers(1, 20),
    epoch=st.integers(0, 3),
    skipped=st.integers(0, 40),
)
@settings(max_examples=60)
def test_skipping_equals_dropping(kind, length, epoch, skipped):
    whole, rest = sampler(kind, length), sampler(kind, length)
    for one in (whole, rest):
        one.set_epoch(epoch)
    available = len(whole.take(skipped))
    assert rest.skip(skipped) == available
    assert rest.take(MANY - available) == whole.take()[skipped:]


@given(kind=st.sampled_from(KINDS), length=st.integers(1, 20), epoch=st.integers(0, 3))
@settings(max_examples=30)
def test_each_pass_depends_on_the_epoch_alone(kind, length, epoch):
    used, fresh = sampler(kind, length), sampler(kind, length)
    used.take(7)
    for one in (used, fresh):
        one.set_epoch(epoch)
    assert used.take() == fresh.take()


@given(kind=st.sampled_from(KINDS), length=st.integers(1, 20), world_size=st.integers(1, 5))
@settings(max_examples=60)
def test_processes_partition_the_samples_of_one(kind, length, world_size):
    alone = {draw: index for index, _, draw in sampler(kind, length).take()}
    count = MANY // world_size
    drawn = Counter()
    for rank in range(world_size):
        for index, _, draw in sampler(kind, length, rank, world_size).take(count):
            drawn[draw] += 1
            # The last draws of an epoch are filled up so that all processes have as many.
            assert alone.get(draw, alone[draw % length]) == index
    assert set(drawn) == set(range(len(drawn)))
    assert set(drawn.values()) == {1}


def test_a_position_survives_the_way_to_a_worker():
    index = pickle.loads(pickle.dumps(PositionedIndex(3, epoch=2, draw=9)))
    assert (index, index.epoch, index.draw) == (3, 2, 9)
    assert [0, 1, 2, 3][index] == 3


def loader(workers: int, context: str = 'fork', length: int = 10, batch_sampler=None) -> DataLoader:
    data = SeededDataset({'type': 'RandomNumbers', 'length': length}, seed=1)
    order = PositionedSampler(data, {'type': 'DefaultSampler', 'shuffle': True}, seed=1)
    shared = {'num_workers': workers, 'multiprocessing_context': context if workers else None}
    if batch_sampler is None:
        return DataLoader(data, 4, sampler=order, **shared)
    grouped = SkippableBatchSampler(order, 4, {'type': batch_sampler})
    return DataLoader(data, batch_sampler=grouped, **shared)


@pytest.mark.parametrize(('workers', 'context'), [(1, 'fork'), (3, 'fork'), (2, 'forkserver')])
def test_samples_do_not_depend_on_the_workers(workers, context):
    alone, many = list(loader(0)), list(loader(workers, context))
    for one, other in zip(alone, many):
        assert all(map(torch.equal, one, other))
    draws = torch.cat([batch[1] for batch in alone])
    assert len(set(draws.tolist())) == 10


@pytest.mark.parametrize('batch_sampler', [None, 'mmdet.AspectRatioBatchSampler'])
@pytest.mark.parametrize(('workers', 'skipped'), [(0, 0), (0, 1), (0, 2), (0, 3), (0, 5), (2, 2)])
def test_skipping_batches_equals_dropping_them(batch_sampler, workers, skipped):
    if batch_sampler:
        DATA_SAMPLERS.get(batch_sampler)
    whole = [batch[0].tolist() for batch in loader(0, batch_sampler=batch_sampler)]
    resumed = loader(workers, batch_sampler=batch_sampler)
    assert skip_batches(resumed, skipped) == min(skipped, 3)
    assert [batch[0].tolist() for batch in resumed] == whole[skipped:]
    assert [batch[0].tolist() for batch in resumed] == whole


def test_the_wrapper_shows_the_inner_dataset():
    data = loader(0).dataset
    assert data.metainfo == {'classes': ('a',)}
    assert len(pickle.loads(pickle.dumps(data))) == 10
    with pytest.raises(AttributeError):
        _ = data.no_such_thing


@pytest.mark.parametrize('start', [0, 2, 3, 4, 7])
@pytest.mark.parametrize('asks_for_batches', [True, False])
def test_endless_batches_start_anywhere(start, asks_for_batches):
    """MMEngine advances to the iteration it resumes at by asking for batches, or by skipping."""
    whole = EndlessBatches(loader(0), 0)
    expected = [next(whole)[1].tolist() for _ in range(10)][start:]
    resumed = EndlessBatches(loader(0), start)
    if asks_for_batches:
        assert [next(resumed) for _ in range(start)] == [None] * start
    else:
        resumed.skip_iter(start)
    assert [next(resumed)[1].tolist() for _ in expected] == expected


def test_a_loader_without_batches_is_refused():
    data = loader(0).dataset
    empty = DataLoader(data, 64, sampler=loader(0).sampler, drop_last=True)
    for start in (0, 5):
        batches = EndlessBatches(empty, start)
        batches.skip_iter(start)
        with pytest.raises(UserError, match='gives no batch'):
            next(batches)
