"""Training and testing: the runner, its hooks and optimizers, and checks of what users give."""

from .data import GuardedDataset, PositionedSampler, SeededDataset, SkippableBatchSampler
from .hooks import (
    CheckpointHook,
    CorruptImagesHook,
    DataCheckHook,
    DenoisingVisualizationHook,
    FiniteLossHook,
    IterationSeedHook,
    LossByMaskRatioHook,
    PatchVisualizationHook,
    PretrainVisualizationHook,
)
from .optimizers import *  # noqa: F403
from .runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner, ShardedRunner
from .strategies import FSDPStrategy

__all__ = [
    'CheckpointHook',
    'CorruptImagesHook',
    'DataCheckHook',
    'DenoisingVisualizationHook',
    'EpochBasedTrainLoop',
    'FSDPStrategy',
    'FiniteLossHook',
    'GuardedDataset',
    'IterBasedTrainLoop',
    'IterationSeedHook',
    'LossByMaskRatioHook',
    'PatchVisualizationHook',
    'PositionedSampler',
    'PretrainVisualizationHook',
    'Runner',
    'SeededDataset',
    'ShardedRunner',
    'SkippableBatchSampler',
]
