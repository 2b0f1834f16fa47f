"""Training and testing: the runner, its hooks and optimizers, and checks of what users give."""

from .data import GuardedDataset, PositionedSampler, SeededDataset, SkippableBatchSampler
from .hooks import CheckpointHook, DataCheckHook, IterationSeedHook
from .optimizers import *  # noqa: F403
from .runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

__all__ = [
    'CheckpointHook',
    'DataCheckHook',
    'EpochBasedTrainLoop',
    'GuardedDataset',
    'IterBasedTrainLoop',
    'IterationSeedHook',
    'PositionedSampler',
    'Runner',
    'SeededDataset',
    'SkippableBatchSampler',
]
