"""Probes of a second or two: tiny encoders on generated images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample
from tiny_runs import classifier

from mmaddp.models import GridProbe
from mmaddp.registry import MODELS


def probe_config(images: Path, work_dir: Path, encoder: dict, **model: Any) -> Config:
    """3 epochs of 3 batches without augmentation; images are of the size of the tiny encoders."""
    side = encoder.get('img_size') or encoder['backbone']['img_size']
    config = classifier(images, work_dir)
    config.model = dict(type='mmaddp.GridProbe', encoder=encoder, head=classifier_head(), **model)
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(side, side)),
        dict(type='PackInputs'),
    ]
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset.pipeline = pipeline
    config.val_evaluator = config.test_evaluator = dict(type='mmaddp.NamedAccuracy')
    config.optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-2))
    # A run that is told to stop earlier has the same learning rates up to there.
    config.param_scheduler[0].end = 3
    config.custom_hooks = []
    return config


def tiny_probe(encoder: dict, seed: int = 0, **settings: Any) -> GridProbe:
    """A probe of 3 classes whose encoder's weights depend on the seed alone, in training mode.

    ``settings`` of the head's go there, the others to the model.
    """
    of_head = ('batch_norm', 'init_std', 'label_smoothing')
    head = classifier_head(**{k: settings.pop(k) for k in of_head if k in settings})
    torch.manual_seed(seed)
    config = dict(type='mmaddp.GridProbe', encoder=encoder, head=head)
    model = MODELS.build({**config, **settings}).train()
    model._is_init = True  # as drawn
    return model


def classifier_head(**settings: Any) -> dict:
    """A linear classifier of 3 classes."""
    return dict(type='mmaddp.LinearClassifier', num_classes=3, **settings)


def labeled(count: int) -> list[DataSample]:
    """Samples of 3 classes in turn."""
    return [
        DataSample(metainfo=dict(sample_idx=number)).set_gt_label(number % 3)
        for number in range(count)
    ]


def adam(parameters: Any) -> torch.optim.Optimizer:
    """Adam at 0.01."""
    return torch.optim.Adam(parameters, lr=1e-2)


def train_probe(
    model: GridProbe, images: torch.Tensor, steps: int = 5, optimizer: Any = adam
) -> GridProbe:
    """Train the heads; random draws depend on the step alone."""
    optimizer = optimizer([p for p in model.parameters() if p.requires_grad])
    for step in range(steps):
        torch.manual_seed(step)
        loss = model(images, labeled(len(images)), mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model
