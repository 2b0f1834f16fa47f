"""Training and testing: the runner, its hooks and optimizers, and checks of what users give."""

from .data import GuardedDataset, SeededDataset
from .hooks import *  # noqa: F403
from .optimizers import *  # noqa: F403
from .resumption import (
    CheckpointHook,
    EpochBasedTrainLoop,
    IterationSeedHook,
    IterBasedTrainLoop,
    PositionedSampler,
    SkippableBatchSampler,
)
from .runner import FSDPStrategy, Runner, ShardedRunner

__all__ = [
    'CheckpointHook',
    'EpochBasedTrainLoop',
    'FSDPStrategy',
    'GuardedDataset',
    'IterBasedTrainLoop',
    'IterationSeedHook',
    'PositionedSampler',
    'Runner',
    'SeededDataset',
    'ShardedRunner',
    'SkippableBatchSampler',
]
