"""Data whose order and randomness are functions of the position in the training, not of history."""

from .datasets import GuardedDataset, SeededDataset
from .loading import guard_evaluation, make_resumable
from .samplers import PositionedIndex, PositionedSampler, SkippableBatchSampler, skip_batches
from .seeding import keep_random_state, seed_data, seed_everything

__all__ = [
    'GuardedDataset',
    'PositionedIndex',
    'PositionedSampler',
    'SeededDataset',
    'SkippableBatchSampler',
    'guard_evaluation',
    'keep_random_state',
    'make_resumable',
    'seed_data',
    'seed_everything',
    'skip_batches',
]
