"""The runner, its loops, and how a killed run goes on."""

from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .runner import Runner

__all__ = ['EpochBasedTrainLoop', 'IterBasedTrainLoop', 'Runner']
