"""Short trainings of configs."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import nn


def load(repository: Path, name: str) -> Config:
    """A config, from random weights."""
    cfg = Config.fromfile(repository / 'configs' / name)
    if 'backbone' in cfg.model:
        cfg.model.backbone.init_cfg = None
    return cfg


def shorten(cfg: Config, work_dir: Path, batch_size: int, train: int, val: int) -> Config:
    """Two batches for an epoch, a few images to evaluate, all in this process."""
    cfg.work_dir = str(work_dir)
    loaders = dict(train_dataloader=train, val_dataloader=val, test_dataloader=val)
    for loader, images in loaders.items():
        cfg[loader].update(num_workers=0, persistent_workers=False)
        cfg[loader].dataset.indices = images
    cfg.train_dataloader.batch_size = batch_size
    if cfg.train_cfg.get('max_epochs'):
        cfg.train_cfg.update(max_epochs=1, val_interval=1)
    else:
        cfg.train_cfg.update(max_iters=train // batch_size, val_interval=train // batch_size)
    cfg.default_hooks.logger.interval = 1
    cfg.experiment_name = work_dir.name
    return cfg


class Snapshot(Hook):
    """Keeps the weights that training starts from, and tells which of them it changed."""

    def before_train(self, runner: Runner) -> None:
        self.before = {n: p.detach().clone() for n, p in runner.model.named_parameters()}

    def changed(self, model: nn.Module) -> set[str]:
        return {n for n, p in model.named_parameters() if not torch.equal(p, self.before[n])}


def train_and_evaluate(cfg: Config) -> tuple[Runner, set[str], dict[str, float]]:
    runner = RUNNERS.get(cfg.get('runner_type', 'Runner')).from_cfg(cfg)
    snapshot = Snapshot()
    runner.register_hook(snapshot)
    runner.train()
    return runner, snapshot.changed(runner.model), runner.test()


def all_names(runner: Runner) -> set[str]:
    return {name for name, _ in runner.model.named_parameters()}
