"""Dataloaders of fewer batches than workers."""

import gc
import threading

import pytest
from torch.utils.data import DataLoader

from mmaddp.engine.data import limit_workers


@pytest.mark.parametrize(('workers', 'batches', 'started'), [(2, 1, 1), (2, 4, 2), (0, 4, 0)])
def test_no_more_workers_than_batches(workers, batches, started):
    assert limit_workers(DataLoader(range(batches), num_workers=workers)).num_workers == started


def test_no_pipe_is_closed_twice(monkeypatch):
    """Without the limit, the thread of an idle worker's queue ends with 'Bad file descriptor'."""
    faults, before = [], {*threading.enumerate()}
    monkeypatch.setattr(threading, 'excepthook', faults.append)
    batches = iter(limit_workers(DataLoader(range(1), num_workers=2)))
    next(batches)
    cycle = [batches]
    cycle.append(cycle)
    del batches, cycle
    gc.collect()
    # Other tests' dataloaders have such threads too.
    feeders = [one for one in {*threading.enumerate()} - before if 'QueueFeeder' in one.name]
    for thread in feeders:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert not faults
