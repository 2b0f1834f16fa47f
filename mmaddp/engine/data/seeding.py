"""Random numbers as a pure function of a position, such as (seed, epoch, draw)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*position: int) -> int:
    """Mix non-negative integers into one seed of 64 bits; neighbors do not correlate."""
    return int(np.random.SeedSequence(position).generate_state(1, np.uint64)[0])


def seed_data(*position: int) -> None:
    """Seed what data pipelines draw from: Python, NumPy and torch's CPU generator.

    ``torch.manual_seed`` would also queue a seed for CUDA, which costs a stack trace per sample in
    workers that never touch a GPU.
    """
    seed = derive_seed(*position)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)


def seed_everything(*position: int) -> None:
    """Seed Python, NumPy and torch on every device."""
    seed_data(*position)
    torch.manual_seed(derive_seed(*position))


@contextmanager
def keep_random_state() -> Iterator[None]:
    """Leave the generators of Python, NumPy and torch as they were, whatever the body draws."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
