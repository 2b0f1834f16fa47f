"""MMEngine's runners, made reproducible: killed at any moment, a run ends with the same weights."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed, is_main_process
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import FlexibleRunner
from mmengine.runner import Runner as MMEngineRunner
from mmengine.runner import load_state_dict as load_into_model
from torch import nn
from torch.utils.data import DataLoader

from mmaddp.checkpoints import check_meta, fit, read_model_checkpoint
from mmaddp.checkpoints.reader import naming
from mmaddp.engine.data import guard_evaluation, leaves, limit_workers, make_resumable
from mmaddp.engine.private import accumulative_counts, is_resuming, mark_loaded
from mmaddp.engine.resumption import (
    CheckpointHook,
    PreemptionHook,
    check_agreement,
    read_training,
    resolve_resume,
    shield_workers,
    warn_of_other_settings,
)
from mmaddp.models.inspection import unwrapped
from mmaddp.registry import RUNNERS
from mmaddp.utils import atomic_write

from .launch import init_cpu_process_group
from .weights import check_weights

# MMEngine's pattern of what a log smooths over a window, but for a validation's losses.
_SMOOTHED = r'^(?!val/).*(loss|time|data_time|grad_norm).*'
_LOOPS = {True: 'mmaddp.EpochBasedTrainLoop', False: 'mmaddp.IterBasedTrainLoop'}


class ReproducibleRunner:
    """For a runner of MMEngine: data and randomness that depend on (seed, position) alone."""

    @classmethod
    def from_cfg(cls, cfg: Config) -> ReproducibleRunner:
        """Build from a config; ``resume=True`` finds the newest whole checkpoint first."""
        if cfg.get('resume'):
            cfg = resolve_resume(cfg)
        runner = super().from_cfg(cfg)
        if is_distributed():
            check_agreement(cfg.get('load_from') if cfg.get('resume') else None)
        return runner

    @property
    def base_seed(self) -> int:
        """The seed that all processes share."""
        differs = (self.cfg.get('randomness') or {}).get('diff_rank_seed', False)
        return self.seed - self.rank * bool(differs)

    @property
    def _trains(self) -> bool:
        """Whether there is an optimizer; tests have none or only its config."""
        return isinstance(self.optim_wrapper, OptimWrapper)

    @property
    def _skips_corrupt_images(self) -> bool:
        return bool(self.cfg.get('skip_corrupt_images'))

    @staticmethod
    def build_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> DataLoader:
        """Build a dataloader, with no more workers than batches, which signals do not end."""
        built = MMEngineRunner.build_dataloader(dataloader, *args, **kwargs)
        return shield_workers(limit_workers(built))

    def read_fitting(
        self, filename: str, model: nn.Module, tensors: Mapping[str, torch.Tensor]
    ) -> dict[str, Any]:
        """Read the file of ``load_from``, of any known layout, without executing code from it.

        Args:
            filename: The file.
            model: The model to be filled, not wrapped.
            tensors: The whole model's ``state_dict()``, of which names and shapes are used.

        Raises:
            UserError: The file is missing, truncated, unsafe, or of another model or size.
        """
        checkpoint = read_model_checkpoint(filename, tensors)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        weights, meta = checkpoint['state_dict'], checkpoint['meta']
        check_weights(model, weights, filename, not self._trains, tensors, meta)
        if not self._trains:
            warn_of_other_settings(checkpoint['settings'], self.cfg)
        return checkpoint

    def load_or_resume(self) -> None:
        """Load the weights, then check what a training needs of them.

        Raises:
            UserError: Nothing has filled a frozen part, or the data were made with another model.
        """
        super().load_or_resume()
        if not self._trains:
            return
        model = unwrapped(self.model)
        if hasattr(model, 'check_filled'):
            model.check_filled()
        for dataset in leaves(self.train_dataloader.dataset):
            if hasattr(dataset, 'check_model'):
                dataset.check_model(model)

    def build_log_processor(self, log_processor: Any) -> Any:
        """Build the log, which must not average a validation's loss with those before."""
        if isinstance(log_processor, dict):
            log_processor = {'mean_pattern': _SMOOTHED, **log_processor}
        return super().build_log_processor(log_processor)

    def build_visualizer(self, visualizer: Any = None) -> Any:
        """See the base class; the visualizer is the training's own.

        In one process, MMEngine shares it among all that name it alike, as the configs of
        MMDetection and MMSegmentation do. The curves would all go to the first one's folder.
        """
        if isinstance(visualizer, dict):
            visualizer = {**visualizer, 'name': self._log_dir}
        return super().build_visualizer(visualizer)

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume from a checkpoint of this very model.

        Raises:
            UserError: It is of another model; names what differs.
        """
        # MMEngine's reader executes what is in the file, so it comes second.
        checkpoint = read_training(filename)
        model = unwrapped(self.model)
        with naming(filename):
            check_meta(model, checkpoint)
            fit(checkpoint['state_dict'], model, adapt=False, wanted=self.whole_tensors(model))
        super().resume(filename, *args, **kwargs)

    def whole_tensors(self, model: nn.Module) -> Mapping[str, torch.Tensor]:
        """The model's tensors by name; names and shapes are right in any case."""
        return model.state_dict()

    def train(self) -> nn.Module:
        """Train; SIGTERM and SIGUSR1 end it with a checkpoint.

        Raises:
            SystemExit: With status 75, after such a signal.
        """
        with self.preemption.listening():
            return super().train()

    def register_hooks(self, default_hooks: dict | None = None, custom_hooks: Any = None) -> None:
        """Register the config's hooks and the runner's own."""
        super().register_hooks(default_hooks, custom_hooks)
        self.register_hook({'type': 'mmaddp.ChangedSettingsHook'})
        self.register_hook({'type': 'mmaddp.IterationSeedHook'})
        self.register_hook({'type': 'mmaddp.SharedBuffersHook'})
        self.preemption = PreemptionHook()
        self.register_hook(self.preemption)
        if self._skips_corrupt_images:
            self.register_hook({'type': 'mmaddp.CorruptImagesHook'})

    def build_train_loop(self, loop: Any) -> Any:
        """Build the training loop over data whose order depends on the position alone."""
        if isinstance(loop, dict):
            loop = copy.deepcopy(loop)
            if 'by_epoch' in loop:
                loop['type'] = _LOOPS[loop.pop('by_epoch')]
            elif loop.get('type') in ('EpochBasedTrainLoop', 'IterBasedTrainLoop'):
                loop['type'] = 'mmaddp.' + loop['type']
            loop['dataloader'] = make_resumable(
                self.cfg.train_dataloader,
                self.base_seed,
                self._skips_corrupt_images,
                self.cfg.get('labels'),
            )
        return super().build_train_loop(loop)

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint: a reader finds the whole of it or nothing.

        Hooks that have a method ``before_checkpoint`` may refuse it in all processes.
        """
        self.call_hook('before_checkpoint')
        # MMEngine writes in the main process alone. Shards are gathered from all processes.
        if not is_main_process() or '://' in str(out_dir):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with atomic_write(Path(out_dir) / filename) as temporary:
            super().save_checkpoint(str(out_dir), temporary.name, *args, **kwargs)


@RUNNERS.register_module()
class Runner(ReproducibleRunner, MMEngineRunner):
    """Trains and tests like MMEngine's runner, with these differences:

    - All randomness is a function of (seed, position in the training). A run that was killed and
      resumed ends with the same bits, whatever the number of workers.
    - Checkpoints are written to a temporary file that then replaces the final one at once.
    - Without a GPU several processes communicate through gloo.
    - ``load_from`` reads any file that :mod:`mmaddp.checkpoints` knows, executes no code from it,
      and refuses one that does not fit.
    - With ``skip_corrupt_images=True`` in the config, training images whose files are corrupt are
      replaced by others and counted. Without, the first one ends the run.
    - With ``labels=0.1`` it trains on a tenth of the images, chosen by the seed
      (:func:`mmaddp.datasets.subset_indices`).
    - ``auto_scale_lr`` counts the images of one optimizer step, gradient accumulation included.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the processes, with gloo where there is no GPU."""
        if self.distributed and not is_distributed() and get_device() == 'cpu':
            timeout = (env_cfg.get('dist_cfg') or {}).get('timeout')
            init_cpu_process_group(self.launcher, timeout)
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap for several processes; modules on the CPU must not be given a device."""
        if self.distributed and not any(p.requires_grad for p in model.parameters()):
            # DDP refuses a model with nothing to train, such as a k-NN probe.
            return model.to(get_device())
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
        return super().build_val_loop(self._guarded(loop, 'val_dataloader', 'ValLoop'))

    def build_test_loop(self, loop: Any) -> Any:
        """Build the test loop over data whose faults name their file."""
        return super().build_test_loop(self._guarded(loop, 'test_dataloader', 'TestLoop'))

    def _guarded(self, loop: Any, dataloader: str, default: str) -> Any:
        if not isinstance(loop, dict):
            return loop
        guarded = guard_evaluation(self.cfg[dataloader], dataloader)
        return {'type': default, **loop, 'dataloader': guarded}

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rate by the images of one optimizer step over ``base_batch_size``."""
        super().scale_lr(optim_wrapper, base_of_batches(auto_scale_lr, optim_wrapper))

    def load_checkpoint(
        self, filename: str, map_location: Any = 'cpu', strict: bool = False, **kwargs: Any
    ) -> dict:
        """Load weights; when not resuming, from any known layout and only if they fit.

        Raises:
            UserError: The file is missing, truncated, unsafe, or of another model or size.
        """
        model = unwrapped(self.model)
        if is_resuming(self):
            with naming(filename):
                return super().load_checkpoint(filename, map_location, strict, **kwargs)
        checkpoint = self.read_fitting(filename, model, model.state_dict())
        with naming(filename):
            load_into_model(model, checkpoint['state_dict'], strict, logger='current')
        mark_loaded(self)
        self.logger.info(f'Loaded the weights of {filename}')
        return checkpoint


@RUNNERS.register_module()
class ShardedRunner(ReproducibleRunner, FlexibleRunner):
    """MMEngine's runner for strategies that shard a model over the processes.

    A config of :class:`mmaddp.Runner` trains with this one when it says
    ``runner_type='mmaddp.ShardedRunner'`` and ``strategy=dict(type='mmaddp.FSDPStrategy')``. Data,
    randomness and files are the same. A killed run resumes with the runner that it began with.
    """

    def load_or_resume(self) -> None:
        """Load the weights; refuse a checkpoint interval that only the first save would refuse."""
        super().load_or_resume()
        for hook in self.hooks:
            if self._trains and isinstance(hook, CheckpointHook):
                hook.check_interval(self)

    def load_checkpoint(
        self, filename: str, map_location: Any = 'cpu', strict: bool = False, **kwargs: Any
    ) -> None:
        """Load the weights of ``load_from`` as :class:`mmaddp.Runner` does."""
        model = unwrapped(self.model)
        tensors = self.whole_tensors(model)
        weights = self.read_fitting(filename, model, tensors)['state_dict']
        # A head for other classes keeps its initialization.
        other = {n for n in tensors if n in weights and weights[n].shape != tensors[n].shape}
        weights = {name: tensor for name, tensor in weights.items() if name not in other}
        self.strategy.load_model_state_dict(weights, strict=strict)
        kept = [name for name in tensors if name not in weights]
        self.logger.info(f'Loaded the weights of {filename}; not in it: {kept or "none"}')

    def whole_tensors(self, model: nn.Module) -> Mapping[str, torch.Tensor]:
        """The model's tensors by name, of which this process may have only shards."""
        return getattr(self.strategy, 'whole_tensors', None) or model.state_dict()


def base_of_batches(auto_scale_lr: dict | None, optim_wrapper: Any) -> dict | None:
    """Express ``base_batch_size``, in images of one optimizer step, in images of one batch.

    MMEngine compares it with one batch, also where a step accumulates several.
    """
    if not (auto_scale_lr and auto_scale_lr.get('enable')):
        return auto_scale_lr
    accumulated = accumulative_counts(optim_wrapper)
    print_log(f'One optimizer step sees {accumulated} batches.', 'current')
    return {**auto_scale_lr, 'base_batch_size': auto_scale_lr['base_batch_size'] / accumulated}
