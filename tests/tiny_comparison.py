"""A comparison of two tiny encoders on drawn images."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from tiny_ddae import UNET, ddae, tiny_ddae
from tiny_runs import classifier, write_images

SIDE = 8
LAST = 'out_4'


def write_comparison(folder: Path) -> Path:
    """Write images, configs, an encoder and the file that names them all; gives the last."""
    images = write_images(folder / 'images')
    model = tiny_ddae(ddae(), seed=20)
    checkpoint = {'meta': {'iter': 20}, 'state_dict': model.state_dict()}
    torch.save(checkpoint, folder / 'encoder.pth')
    pretrain = Config(dict(model=ddae(), train_dataloader=dict(batch_size=4)))
    pretrain.dump(folder / 'pretrain.py')
    tuning(images, channels=32).dump(folder / 'cls.py')
    probing(images).dump(folder / 'probe.py')
    return write_spec(spec(folder), folder / 'compare.py')


def write_spec(settings: dict, path: Path) -> Path:
    """Write the file that says what is compared, in its order."""
    path.write_text('\n'.join(f'{key} = {value!r}' for key, value in settings.items()))
    return path


def spec(folder: Path) -> dict:
    """A pre-trained encoder and one from scratch, probed and fine-tuned with two seeds."""
    encoder = dict(checkpoint=str(folder / 'encoder.pth'), pretrain=str(folder / 'pretrain.py'))
    probe, cls = dict(config=str(folder / 'probe.py')), dict(config=str(folder / 'cls.py'))
    tasks = dict(
        probe=dict(title='Linear probe', metrics={'top-1': 'accuracy/best'}),
        cls=dict(
            title='Fine-tuning',
            metrics={'top-1': 'accuracy/top1'},
            options={'train_cfg.max_epochs': 1},
        ),
    )
    methods = dict(
        ddae=dict(
            title='DDAE', probe=dict(probe, **encoder), cls=dict(cls, **encoder, best_cell='ddae')
        ),
        scratch=dict(title='From scratch', cls=cls),
    )
    return dict(title='Two encoders', seeds=[0, 1], tasks=tasks, methods=methods)


def tuning(images: Path, channels: int) -> Config:
    """A classifier on the network's last block."""
    config = classifier(images, images / 'unused')
    config.pop('work_dir')
    config.custom_hooks = []
    config.best_cell = 'none'
    config.model.backbone = dict(UNET, out_blocks=[LAST], time=0.011)
    config.model.head.in_channels = channels
    config.model.pop('train_cfg')
    config.train_cfg.val_interval = 1
    resize_images(config)
    return config


def probing(images: Path) -> Config:
    """A probe of all blocks at two levels, one epoch."""
    config = tuning(images, channels=32)
    config.pop('best_cell')
    config.model = dict(
        type='mmaddp.GridProbe',
        encoder=ddae(),
        head=dict(type='mmaddp.LinearClassifier', num_classes=3),
        levels=[1, 11],
    )
    config.train_cfg.max_epochs = 1
    config.val_evaluator = config.test_evaluator = dict(type='mmaddp.NamedAccuracy')
    return config


def resize_images(config: Any) -> None:
    """Have all images whole, and of the encoder's side."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=SIDE),
        dict(type='PackInputs'),
    ]
    for name in ('train', 'val', 'test'):
        config[f'{name}_dataloader'].dataset.pipeline = copy.deepcopy(pipeline)
