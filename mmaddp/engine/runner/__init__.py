"""The runners and what starts their processes."""

from .fsdp import FSDPStrategy
from .runner import Runner, ShardedRunner

__all__ = ['FSDPStrategy', 'Runner', 'ShardedRunner']
