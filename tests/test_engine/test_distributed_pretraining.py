"""ADDP in two processes, replicated or sharded: the steps that one process takes."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from tiny_addp import addp, pretraining
from tiny_processes import in_processes, wrap_parts_that_differ
from tiny_runs import last_checkpoint, run_training, write_pictures

# A learning rate, a decay and a norm at which an error in any of the three would show.
OPTIMIZER = {
    'optim_wrapper.optimizer': dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1),
    'optim_wrapper.clip_grad.max_norm': 0.5,
}
SHARDED = {
    'runner_type': 'mmaddp.ShardedRunner',
    'strategy': dict(type='mmaddp.FSDPStrategy'),
}


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp('data') / 'pictures')


def config_of(pictures: Path, work_dir: Path, processes: int, **settings: Any) -> Config:
    """Six steps of four images, with nothing drawn that depends on the process."""
    config = pretraining(pictures, work_dir, by_epoch=False, **OPTIMIZER, **settings)
    config.model = addp(img_size=32, shared_ratio=True)
    config.model['encoder'] = dict(config.model['encoder'], drop_rate=0.0)
    config.train_cfg.max_iters = 6
    config.train_dataloader.batch_size = 4 // processes
    config.custom_hooks = [dict(type='LossRecorder')]
    config.launcher = 'pytorch' if processes > 1 else 'none'
    config.env_cfg = dict(dist_cfg=dict(backend='nccl'))
    return config


def losses(work_dir: Path, processes: int) -> dict[int, float]:
    """The mean over the processes of each iteration's loss."""
    files = [Path(f'{work_dir}.losses{rank}') for rank in range(processes)]
    lists = [dict(map(json.loads, file.read_text().splitlines())) for file in files]
    return {i: sum(one[i] for one in lists) / processes for i in lists[0]}


@pytest.fixture(scope='module')
def work_dirs(pictures, tmp_path_factory):
    """The same training by one process, by two, and by two that share the model."""
    root = tmp_path_factory.mktemp('runs')
    kinds = {'one': (1, {}), 'replicated': (2, {}), 'sharded': (2, SHARDED)}
    for kind, (processes, settings) in kinds.items():
        config = config_of(pictures, root / kind, processes, **settings)
        assert in_processes(processes, run_training, config) == [0] * processes
    return {kind: root / kind for kind in kinds}


@pytest.mark.parametrize('kind', ['replicated', 'sharded'])
def test_two_processes_are_one_with_twice_the_images(work_dirs, kind):
    expected, found = (last_checkpoint(work_dirs[which])['state_dict'] for which in ('one', kind))
    assert found.keys() == expected.keys()
    assert not any(name.startswith(('tokenizer', 'token_predictor')) for name in found)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-5)
    expected, found = losses(work_dirs['one'], 1), losses(work_dirs[kind], 2)
    assert len(expected) == 6
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_sharded_run_that_was_killed_goes_on(tmp_path, pictures, work_dirs):
    config = config_of(pictures, tmp_path / 'run', 2, **SHARDED)
    recorder = dict(type='Recorder', path=str(tmp_path / 'run.jsonl'), kill_at=4)
    config.custom_hooks = [recorder]
    assert in_processes(2, run_training, config) == [-signal.SIGKILL] * 2
    assert last_checkpoint(tmp_path / 'run')['meta']['iter'] == 3
    config.custom_hooks = []
    assert in_processes(2, run_training, config, True) == [0, 0]
    whole, resumed = (
        last_checkpoint(folder)['state_dict'] for folder in (work_dirs['sharded'], tmp_path / 'run')
    )
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor), name


def test_frozen_parts_are_not_broadcast():
    assert in_processes(2, wrap_parts_that_differ) == [0, 0]
