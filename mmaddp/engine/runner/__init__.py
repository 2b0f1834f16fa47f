"""The runner, its loops, and how a killed run goes on."""

from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .runner import Runner
from .sharded_runner import ShardedRunner

__all__ = ['EpochBasedTrainLoop', 'IterBasedTrainLoop', 'Runner', 'ShardedRunner']
