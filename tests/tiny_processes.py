"""Trainings in several processes that talk through gloo, as torchrun would start them."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any, Callable

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS
from tiny_addp import addp
from tiny_runs import CHILDREN

# Settings of a training that several processes share.
IN_PROCESSES = {'launcher': 'pytorch', 'env_cfg': dict(dist_cfg=dict(backend='gloo'))}


@HOOKS.register_module()
class LossRecorder(Hook):
    """Writes the loss of each iteration to a file of each process."""

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        with open(f'{runner.work_dir}.losses{runner.rank}', 'a') as file:
            file.write(json.dumps([runner.iter, outputs['loss'].item()]) + '\n')


@HOOKS.register_module()
class BufferRecorder(Hook):
    """Writes the running means before and during an evaluation to a file of each process."""

    def write(self, runner: Any, *_: Any) -> None:
        means = [b.tolist() for name, b in runner.model.named_buffers() if 'running_mean' in name]
        with open(f'{runner.work_dir}.buffers{runner.rank}', 'a') as file:
            file.write(json.dumps(means) + '\n')

    before_val = write

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx == 0:
            self.write(runner)


def in_processes(count: int, function: Callable, *arguments: Any) -> list[int]:
    """Call a function in several processes of a group; their exit statuses."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    places = [(rank, count, port) for rank in range(count)]
    children = [
        CHILDREN.Process(target=_run, args=(place, function, *arguments)) for place in places
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return [child.exitcode for child in children]


def _run(place: tuple[int, int, int], function: Callable, *arguments: Any) -> None:
    for name, value in zip(('RANK', 'WORLD_SIZE', 'MASTER_PORT'), place):
        os.environ[name] = str(value)
    os.environ.update(LOCAL_RANK=os.environ['RANK'], MASTER_ADDR='127.0.0.1')
    function(*arguments)


def wrap_parts_that_differ() -> None:
    """In each process: fill a model with the rank, and see what its wrapper makes equal."""
    import mmaddp  # noqa: F401
    from mmaddp.engine.runner.launch import init_cpu_process_group

    init_cpu_process_group('pytorch')
    rank = int(os.environ['RANK'])
    model = MODELS.build(addp())
    for parameter in model.parameters():
        parameter.data.fill_(rank + 1.0)
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    for name, parameter in wrapped.module.named_parameters():
        frozen = name.startswith(('tokenizer.', 'token_predictor.'))
        # What is trained is the first process's everywhere.
        assert (parameter == (rank + 1.0 if frozen else 1.0)).all(), name


def remember_images(config: Config, path: Path) -> None:
    """In each process: write how many images a k-NN classifier remembers."""
    import mmaddp  # noqa: F401
    from mmaddp.experiments.probing import remember

    torch.set_num_threads(1)
    model = remember(config).model
    (head,) = getattr(model, 'module', model).heads.values()
    Path(f'{path}{os.environ["RANK"]}').write_text(str(len(head.keys)))
