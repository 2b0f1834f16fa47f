"""Exact resumption: a run killed at any moment ends with the same bits as one that was not."""

from .checkpoints import (
    CheckpointHook,
    check_agreement,
    find_newest,
    read_meta,
    remove_leftovers,
    resolve_resume,
)
from .positions import (
    EpochBasedTrainLoop,
    IterationSeedHook,
    IterBasedTrainLoop,
    PositionedIndex,
    PositionedSampler,
    SkippableBatchSampler,
    derive_seed,
    keep_random_state,
    seed_data,
    seed_everything,
    skip_batches,
)

__all__ = [
    'CheckpointHook',
    'EpochBasedTrainLoop',
    'IterBasedTrainLoop',
    'IterationSeedHook',
    'PositionedIndex',
    'PositionedSampler',
    'SkippableBatchSampler',
    'check_agreement',
    'derive_seed',
    'find_newest',
    'keep_random_state',
    'read_meta',
    'remove_leftovers',
    'resolve_resume',
    'seed_data',
    'seed_everything',
    'skip_batches',
]
