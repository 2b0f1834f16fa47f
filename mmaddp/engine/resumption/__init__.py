"""Exact resumption: a run killed at any moment ends with the same bits as one that was not."""

from .checkpoints import (
    CheckpointHook,
    check_agreement,
    find_newest,
    lock_folder,
    read_training,
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
from .preemption import REQUEUE, PreemptionHook, noting_signals, shield_workers
from .settings import ChangedSettingsHook, flatten, warn_of_other_settings

__all__ = [
    'REQUEUE',
    'ChangedSettingsHook',
    'CheckpointHook',
    'EpochBasedTrainLoop',
    'IterBasedTrainLoop',
    'IterationSeedHook',
    'PositionedIndex',
    'PositionedSampler',
    'PreemptionHook',
    'SkippableBatchSampler',
    'check_agreement',
    'derive_seed',
    'find_newest',
    'flatten',
    'keep_random_state',
    'lock_folder',
    'noting_signals',
    'read_training',
    'remove_leftovers',
    'resolve_resume',
    'seed_data',
    'seed_everything',
    'shield_workers',
    'skip_batches',
    'warn_of_other_settings',
]
