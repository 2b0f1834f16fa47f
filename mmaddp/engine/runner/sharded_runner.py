"""Training of models that outgrow a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner import FlexibleRunner

from mmaddp.registry import RUNNERS
from mmaddp.utils import atomic_write

from .reproducible import ReproducibleRunner


@RUNNERS.register_module()
class ShardedRunner(ReproducibleRunner, FlexibleRunner):
    """MMEngine's runner for strategies that shard a model over the processes.

    A config of :class:`mmaddp.Runner` trains with this one when it says
    ``runner_type='mmaddp.ShardedRunner'`` and ``strategy=dict(type='mmaddp.FSDPStrategy')``. Data,
    randomness and the files that it writes are the same; a killed run goes on with the runner that
    it began with.
    """

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint, which all processes gather: the whole of it or nothing."""
        if not is_main_process():
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with atomic_write(Path(out_dir) / filename) as temporary:
            super().save_checkpoint(str(out_dir), temporary.name, *args, **kwargs)
