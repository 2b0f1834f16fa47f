"""What makes a run a function of its seed, whichever of MMEngine's runners trains."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.optim import OptimWrapper
from torch import nn

from mmaddp.checkpoints import read_model_checkpoint
from mmaddp.engine.data import make_resumable

from .resume import check_agreement, remove_leftovers, resolve_resume
from .weights import check_local, check_weights

_LOOPS = {True: 'mmaddp.EpochBasedTrainLoop', False: 'mmaddp.IterBasedTrainLoop'}


class ReproducibleRunner:
    """For a runner of MMEngine: data and randomness that depend on (seed, position) alone."""

    @classmethod
    def from_cfg(cls, cfg: Config) -> ReproducibleRunner:
        """Build from a config; ``resume=True`` finds the newest whole checkpoint first."""
        runner = super().from_cfg(resolve_resume(cfg))
        check_agreement(runner._load_from if runner._resume else None)
        return runner

    @property
    def base_seed(self) -> int:
        """The seed that all processes share."""
        return self.seed - self.rank * bool(self._randomness_cfg.get('diff_rank_seed'))

    @property
    def _skips_corrupt_images(self) -> bool:
        return bool(self.cfg.get('skip_corrupt_images'))

    def read_fitting(
        self, filename: str, model: nn.Module, tensors: Mapping[str, torch.Tensor]
    ) -> dict[str, Any]:
        """Read the file of ``load_from``, of any known layout, without executing code from it.

        Args:
            filename: The file.
            model: The model that is to be filled, not wrapped.
            tensors: What the whole model's ``state_dict()`` has; only names and shapes are looked
                at.

        Raises:
            UserError: The file is elsewhere, missing, truncated, of another model or of another
                size, or holds what could run code.
        """
        check_local(filename)
        checkpoint = read_model_checkpoint(filename, tensors)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        trains = isinstance(self.optim_wrapper, OptimWrapper)
        check_weights(model, checkpoint['state_dict'], filename, not trains, tensors)
        return checkpoint

    def register_hooks(self, default_hooks: dict | None = None, custom_hooks: Any = None) -> None:
        """Register the config's hooks and those that belong to the runner's own ways."""
        super().register_hooks(default_hooks, custom_hooks)
        self.register_hook({'type': 'mmaddp.IterationSeedHook'})
        if self._skips_corrupt_images:
            self.register_hook({'type': 'mmaddp.CorruptImagesHook'})

    def build_train_loop(self, loop: Any) -> Any:
        """Build the training loop over data whose order depends on the position alone."""
        if is_main_process():
            remove_leftovers(self.work_dir)
        self._train_dataloader = make_resumable(
            self._train_dataloader, self.base_seed, self._skips_corrupt_images
        )
        if isinstance(loop, dict):
            loop = copy.deepcopy(loop)
            if 'by_epoch' in loop:
                loop['type'] = _LOOPS[loop.pop('by_epoch')]
            elif loop.get('type') in ('EpochBasedTrainLoop', 'IterBasedTrainLoop'):
                loop['type'] = 'mmaddp.' + loop['type']
        return super().build_train_loop(loop)
