"""Trainings of a second or two on generated images, in child processes that can be killed."""

from __future__ import annotations

import gc
import itertools
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch
import unformatted_configs  # noqa: F401
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS, DATASETS, HOOKS
from PIL import Image

CLASSES = ('blue', 'green', 'red')
RUNS = itertools.count()
# Children are forked from a server that has imported everything once. Each of its datasets collects
# garbage, which takes longer than its training unless it leaves out what was imported.
gc.freeze()
CHILDREN = multiprocessing.get_context('forkserver')
CHILDREN.set_forkserver_preload(
    [
        *('mmaddp.engine.runs', 'mmaddp.models.pretrainers', 'mmpretrain.models'),
        *('mmpretrain.datasets', 'yapf.yapflib.yapf_api'),
    ]
)


@HOOKS.register_module()
class Recorder(Hook):
    """Writes the images of each iteration to a file; kills its process at one of them.

    With ``pause`` each iteration takes at least so many seconds.
    """

    priority = 'VERY_LOW'

    def __init__(self, path: str, kill_at: int | None = None, pause: float = 0.0) -> None:
        self.path, self.kill_at, self.pause = path, kill_at, pause

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        names = [Path(sample.img_path).name for sample in data_batch['data_samples']]
        digest = float(sum(image.double().mean() for image in data_batch['inputs']))
        with open(self.path, 'a') as file:
            file.write(json.dumps([runner.iter, names, digest]) + '\n')
        time.sleep(self.pause)
        if runner.iter == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class SignalAt(Hook):
    """Sends a signal to its process in an iteration, in all processes or one of them."""

    def __init__(self, iteration: int, number: int, rank: int | None = None) -> None:
        self.iteration, self.number, self.rank = iteration, number, rank

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.iteration and self.rank in (None, runner.rank):
            os.kill(os.getpid(), self.number)


@DATASETS.register_module()
class RandomNumbers:
    """Sample i is i and a draw from each generator that pipelines use."""

    metainfo = {'classes': ('a',)}

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple:
        return int(index), np.random.rand(), float(torch.rand(())), np.random.randint(1 << 30)

    def get_data_info(self, index: int) -> dict:
        return {'width': 1 + index % 2, 'height': 1.5}


@DATA_SAMPLERS.register_module()
class ParityBatchSampler:
    """Batches of even or of odd indices, as a sampler that groups by aspect ratio would give."""

    def __init__(self, sampler: Any, batch_size: int) -> None:
        self.sampler, self.batch_size = sampler, batch_size

    def __len__(self) -> int:
        return len(self.sampler) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        groups: tuple[list, list] = ([], [])
        for index in self.sampler:
            group = groups[index % 2]
            group.append(index)
            if len(group) == self.batch_size:
                yield group[:]
                group.clear()


def write_images(folder: Path, per_class: int = 5, size: int = 24) -> Path:
    """Noise with a strong channel for each class, as a folder for each class."""
    noise = np.random.default_rng(0)
    for channel, name in enumerate(reversed(CLASSES)):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            image = noise.integers(0, 120, (size, size, 3), dtype=np.uint8)
            image[..., channel] += 100
            Image.fromarray(image).save(folder / name / f'{name}{number}.png')
    return folder


def classifier(images: Path, work_dir: Path, by_epoch: bool = True, **settings: Any) -> Config:
    """A config of a tiny ADDP classifier: 3 epochs of 4 batches, or 12 iterations.

    Drop path, dropout, mixup, random crops, EMA, a schedule and momentum are all in it: whatever
    a resumed run could lose. ``settings`` are merged in by dotted key.
    """
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=16),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]
    data = dict(type='CustomDataset', data_root=str(images), pipeline=pipeline)
    loader = dict(dataset=data, batch_size=4, num_workers=0)
    sampler = dict(type='DefaultSampler' if by_epoch else 'InfiniteSampler', shuffle=True)
    if by_epoch:
        train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=10)
        schedule = dict(type='CosineAnnealingLR', by_epoch=True, T_max=3)
    else:
        train_cfg = dict(by_epoch=False, max_iters=12, val_interval=100)
        schedule = dict(type='CosineAnnealingLR', by_epoch=False, T_max=12)
    evaluation = dict(loader, sampler=dict(type='DefaultSampler', shuffle=False))
    config = Config(
        dict(
            default_scope='mmpretrain',
            runner_type='mmaddp.Runner',
            model=dict(
                type='ImageClassifier',
                backbone=dict(
                    type='mmaddp.ADDPViT',
                    arch=dict(embed_dims=8, num_layers=2, num_heads=2),
                    img_size=16,
                    patch_size=8,
                    drop_path_rate=0.3,
                ),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=3, in_channels=8),
                train_cfg=dict(augments=dict(type='Mixup', alpha=0.8)),
                data_preprocessor=dict(num_classes=3, mean=[127.0] * 3, std=[64.0] * 3),
            ),
            train_dataloader=dict(loader, sampler=sampler),
            val_dataloader=evaluation,
            test_dataloader=evaluation,
            val_evaluator=dict(type='Accuracy', topk=(1,)),
            test_evaluator=dict(type='Accuracy', topk=(1,)),
            train_cfg=train_cfg,
            val_cfg=dict(),
            test_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-2)),
            param_scheduler=[schedule],
            default_hooks=dict(
                checkpoint=dict(
                    type='mmaddp.CheckpointHook',
                    by_epoch=by_epoch,
                    interval=1 if by_epoch else 3,
                    max_keep_ckpts=1,
                ),
                data_check=dict(type='mmaddp.DataCheckHook'),
            ),
            custom_hooks=[
                dict(type='EMAHook', momentum=0.1),
                dict(type='Recorder', path=str(work_dir) + '.jsonl'),
            ],
            work_dir=str(work_dir),
            randomness=dict(seed=1),
            log_level='WARNING',
        )
    )
    config.merge_from_dict(settings)
    return config


def run_training(config: Config, resume: bool = False) -> None:
    """Train in this process."""
    import mmaddp  # noqa: F401
    from mmaddp.engine.runs import train

    torch.set_num_threads(1)
    # Runs of one second share a logger, and so its output, unless their names differ.
    config.experiment_name = f'run{next(RUNS)}'
    train(config, 'auto' if resume else None)


def die_inside_the_second_save(config: Config) -> None:
    """Train, and be killed when half of the second checkpoint is on the disk."""
    puts = []
    put = LocalBackend.put

    def put_once(backend: LocalBackend, content: bytes, path: str) -> None:
        puts.append(path)
        if len(puts) == 2:
            Path(path).write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        put(backend, content, path)

    LocalBackend.put = put_once
    run_training(config)


def in_child(
    function: Callable, *arguments: Any, kill_when: Callable[[], bool] = lambda: False
) -> int:
    """Call in a child process, killed as soon as ``kill_when`` says so.

    Returns:
        Its exit status, negative when a signal ended it.
    """
    child = CHILDREN.Process(target=function, args=arguments)
    child.start()
    while child.is_alive():
        if kill_when():
            child.kill()
        child.join(0.005)
    child.join()
    return child.exitcode


def seen(work_dir: Path) -> dict[int, tuple]:
    """Names and mean color of each iteration's batch; a repeated iteration must repeat them."""
    batches: dict[int, tuple] = {}
    for line in Path(str(work_dir) + '.jsonl').read_text().splitlines():
        iteration, names, digest = json.loads(line)
        assert batches.setdefault(iteration, (names, digest)) == (names, digest)
    return batches


def last_begun(work_dir: Path) -> int:
    """The last iteration that a running training has written down, or -1."""
    path = Path(str(work_dir) + '.jsonl')
    lines = path.read_text().split('\n')[:-1] if path.is_file() else []
    return json.loads(lines[-1])[0] if lines else -1


def last_checkpoint(work_dir: Path) -> dict:
    return torch.load((work_dir / 'last_checkpoint').read_text(), weights_only=False)


def assert_same_training(one: Path, other: Path) -> None:
    """Weights, averaged weights and optimizer state have the same bits, the data the same order."""
    one_end, other_end = last_checkpoint(one), last_checkpoint(other)
    for key in ('state_dict', 'ema_state_dict'):
        assert one_end[key].keys() == other_end[key].keys()
        for name, tensor in one_end[key].items():
            assert torch.equal(tensor, other_end[key][name]), (key, name)
    states = (one_end['optimizer']['state'], other_end['optimizer']['state'])
    for number, state in states[0].items():
        for name, value in state.items():
            assert torch.equal(value, states[1][number][name]), (number, name)
    assert seen(one) == seen(other)
