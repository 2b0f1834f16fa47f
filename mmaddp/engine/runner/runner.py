"""MMEngine's runner, made reproducible: killed at any moment, it ends with the same weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmengine.device import get_device
from mmengine.dist import is_distributed, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner as MMEngineRunner
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import nn

from mmaddp.engine.data import guard_evaluation
from mmaddp.registry import RUNNERS
from mmaddp.utils import atomic_write

from .launch import init_cpu_process_group
from .reproducible import ReproducibleRunner
from .resume import read_meta
from .step_size import base_of_batches
from .weights import check_local


@RUNNERS.register_module()
class Runner(ReproducibleRunner, MMEngineRunner):
    """Trains and tests like MMEngine's runner; what differs:

    - All randomness is a function of (seed, position in the training), so that a run that was
      killed and resumed ends with the same bits, whatever the number of workers.
    - Checkpoints are written to a temporary file that then takes its place at once.
    - Without a GPU several processes talk through gloo.
    - ``load_from`` reads any file that :mod:`mmaddp.checkpoints` knows, without executing code
      from it, and refuses one that does not fit.
    - With ``skip_corrupt_images=True`` in the config, training images whose files are corrupt are
      replaced by others and counted; without, the first one ends the run.
    - The learning rate scales with the batch that one optimizer step sees, gradient accumulation
      included.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the processes, with gloo where there is no GPU."""
        if self.distributed and not is_distributed() and get_device() == 'cpu':
            timeout = (env_cfg.get('dist_cfg') or {}).get('timeout')
            init_cpu_process_group(self.launcher, timeout)
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap for several processes; modules on the CPU must not be given a device."""
        if self.distributed and get_device() == 'cpu':
            os.environ.setdefault('LOCAL_RANK', '0')
            model_wrapper_cfg = {
                'type': 'MMDistributedDataParallel',
                'broadcast_buffers': False,
                'find_unused_parameters': self.cfg.get('find_unused_parameters', False),
                **(model_wrapper_cfg or {}),
                'device_ids': None,
            }
        return super().wrap_model(model_wrapper_cfg, model)

    def build_val_loop(self, loop: Any) -> Any:
        """Build the validation loop over data whose faults name their file."""
        self._val_dataloader = guard_evaluation(self._val_dataloader, 'val_dataloader')
        return super().build_val_loop(loop)

    def build_test_loop(self, loop: Any) -> Any:
        """Build the test loop over data whose faults name their file."""
        self._test_dataloader = guard_evaluation(self._test_dataloader, 'test_dataloader')
        return super().build_test_loop(loop)

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rate by the images of one optimizer step over ``base_batch_size``."""
        super().scale_lr(optim_wrapper, base_of_batches(auto_scale_lr, optim_wrapper))

    def load_checkpoint(
        self, filename: str, map_location: Any = 'cpu', strict: bool = False, **kwargs: Any
    ) -> dict:
        """Load weights; when not resuming, from any known layout and only if they fit.

        Raises:
            UserError: The file is elsewhere, missing, truncated, of another model or of another
                size, or holds what could run code.
        """
        check_local(filename)
        if self._resume:
            # MMEngine's reader executes what is in the file, so it comes second.
            read_meta(filename)
            checkpoint = super().load_checkpoint(filename, map_location, strict, **kwargs)
            # As a config it would be executed, to compare a setting of MMEngine's past.
            checkpoint['meta'].pop('config', None)
            return checkpoint
        model = self.model.module if is_model_wrapper(self.model) else self.model
        checkpoint = self.read_fitting(filename, model, model.state_dict())
        _load_checkpoint_to_model(model, checkpoint, strict)
        self._has_loaded = True
        self.logger.info(f'Loaded the weights of {filename}')
        return checkpoint

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint: a reader finds the whole of it or nothing.

        Hooks that have a method ``before_checkpoint`` may refuse it in all processes.
        """
        self.call_hook('before_checkpoint')
        if not is_main_process():
            return
        if '://' in str(out_dir):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with atomic_write(Path(out_dir) / filename) as temporary:
            super().save_checkpoint(str(out_dir), temporary.name, *args, **kwargs)
