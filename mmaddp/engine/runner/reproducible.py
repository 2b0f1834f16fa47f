"""What makes a run a function of its seed, whichever of MMEngine's runners trains."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmaddp.engine.data import make_resumable

from .resume import check_agreement, remove_leftovers, resolve_resume

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
