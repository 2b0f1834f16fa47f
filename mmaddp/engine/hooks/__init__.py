"""Hooks of the training."""

from .checkpoint_hook import CheckpointHook
from .data_check_hook import DataCheckHook
from .iteration_seed_hook import IterationSeedHook

__all__ = ['CheckpointHook', 'DataCheckHook', 'IterationSeedHook']
