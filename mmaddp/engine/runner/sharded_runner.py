"""Training of models that outgrow a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
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

    def load_checkpoint(
        self, filename: str, map_location: Any = 'cpu', strict: bool = False, **kwargs: Any
    ) -> None:
        """Load the weights of ``load_from`` as :class:`mmaddp.Runner` does.

        Raises:
            UserError: The file is elsewhere, missing, truncated, of another model or of another
                size, or holds what could run code.
        """
        model = self.model.module if is_model_wrapper(self.model) else self.model
        tensors = getattr(self.strategy, 'whole_tensors', None) or model.state_dict()
        weights = self.read_fitting(filename, model, tensors)['state_dict']
        # A head for other classes stays as it was initialized.
        other = {n for n in tensors if n in weights and weights[n].shape != tensors[n].shape}
        weights = {name: tensor for name, tensor in weights.items() if name not in other}
        self.strategy.load_model_state_dict(weights, strict=strict)
        kept = [name for name in tensors if name not in weights]
        self.logger.info(f'Loaded the weights of {filename}; not in it: {kept or "none"}')

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint, which all processes gather: the whole of it or nothing.

        Hooks that have a method ``before_checkpoint`` may refuse it in all processes.
        """
        self.call_hook('before_checkpoint')
        if not is_main_process():
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with atomic_write(Path(out_dir) / filename) as temporary:
            super().save_checkpoint(str(out_dir), temporary.name, *args, **kwargs)
