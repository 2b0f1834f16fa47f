"""ADDP in two processes, replicated or sharded: the steps that one process takes."""

import json
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from tiny_addp import addp, pretraining, tiny_addp
from tiny_faults import train_to_the_error
from tiny_processes import in_processes, wrap_parts_that_differ
from tiny_runs import last_checkpoint, run_training, write_images
from torch.distributed.fsdp import FullyShardedDataParallel

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.engine import CheckpointHook, FSDPStrategy
from mmaddp.utils import UserError

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
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'images')


def config_of(images: Path, work_dir: Path, processes: int, **settings: Any) -> Config:
    """Six steps of four images, with nothing drawn that depends on the process."""
    config = pretraining(images, work_dir, by_epoch=False, **OPTIMIZER, **settings)
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
def work_dirs(images, tmp_path_factory):
    """The same training by one process, by two, and by two that share the model."""
    root = tmp_path_factory.mktemp('runs')
    kinds = {'one': (1, {}), 'replicated': (2, {}), 'sharded': (2, SHARDED)}
    for kind, (processes, settings) in kinds.items():
        config = config_of(images, root / kind, processes, **settings)
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


def test_a_sharded_run_that_was_killed_goes_on(tmp_path, images, work_dirs):
    config = config_of(images, tmp_path / 'run', 2, **SHARDED)
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


def start_from(path: Path, images: Path, work_dir: Path) -> Config:
    """A sharded training by two processes of one step, at a learning rate of zero."""
    config = config_of(images, work_dir, 2, **SHARDED, load_from=str(path))
    config.train_cfg.max_iters, config.optim_wrapper.optimizer.lr = 1, 0.0
    for part in ('tokenizer', 'token_predictor'):
        del config.model[part]['init_cfg']
    return config


def test_a_sharded_run_starts_from_the_authors_file(tmp_path, images):
    model = tiny_addp(seed=2, img_size=32)
    ours = {**model.state_dict(), **model.frozen_state()}
    path = tmp_path / 'addp.pth'
    torch.save({'model': convert_checkpoint(ours, target='official')}, path)
    assert in_processes(2, run_training, start_from(path, images, tmp_path / 'run')) == [0, 0]
    end = last_checkpoint(tmp_path / 'run')['state_dict']
    assert end.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(end[name], tensor), name


@pytest.mark.parametrize(
    ('prefix', 'message'),
    [
        ('other.', 'none of its'),
        # Without the frozen parts, which stay random.
        ('', 'model.tokenizer.init_cfg is not set'),
    ],
)
def test_a_sharded_run_refuses_what_does_not_fill_it(tmp_path, images, prefix, message):
    path = tmp_path / 'other.pth'
    state = tiny_addp(seed=2, img_size=32).state_dict()
    torch.save({'state_dict': {prefix + name: tensor for name, tensor in state.items()}}, path)
    config = start_from(path, images, tmp_path / 'run')
    assert in_processes(2, train_to_the_error, config, str(tmp_path / 'errors')) == [0, 0]
    told = [(tmp_path / f'errors{rank}').read_text() for rank in (0, 1)]
    assert told[0] == told[1]
    assert message in told[0]


def accumulating(counts: int, done: int) -> mock.Mock:
    """A sharded runner of 3 epochs of 4 iterations, ``done`` of them behind it."""
    wrapper = OptimWrapper(
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1), accumulative_counts=counts
    )
    wrapper.initialize_count_status(torch.nn.Identity(), done, 12)
    model = mock.Mock(spec=FullyShardedDataParallel)
    settings = dict(max_iters=12, iter=done - 1, train_dataloader=range(4))
    return mock.Mock(model=model, optim_wrapper=wrapper, **settings)


@pytest.mark.parametrize(
    ('counts', 'settings', 'refused'),
    [
        (2, dict(by_epoch=False, interval=3), 'every 3 iterations'),
        (3, dict(by_epoch=False, interval=3), None),
        (2, dict(by_epoch=True, interval=1), None),
        (3, dict(by_epoch=True, interval=1), 'every 1 epochs of 4 iterations'),
        # The last checkpoint comes after a step.
        (5, dict(by_epoch=True, interval=3), None),
        (2, dict(by_epoch=False, interval=4, save_begin=3), 'every 4 iterations'),
    ],
)
def test_a_sharded_run_whose_checkpoints_would_part_a_step_does_not_start(
    tmp_path, counts, settings, refused
):
    runner = accumulating(counts, done=0)
    runner.work_dir = str(tmp_path)
    runner.message_hub.runtime_info = {}
    hook = CheckpointHook(**settings)
    if refused is None:
        hook.check_interval(runner)
        return
    with pytest.raises(UserError, match=f'{refused}.*accumulative_counts={counts} '):
        hook.check_interval(runner)


def test_a_sharded_run_saves_nothing_inside_a_step():
    """No process waits for another: nothing has been sent yet."""
    hook, runner = CheckpointHook(by_epoch=False, interval=3), accumulating(2, done=3)
    with (
        mock.patch('mmaddp.engine.resumption.checkpoints.all_reduce') as sent,
        pytest.raises(UserError, match='accumulative_counts=2 iterations'),
    ):
        hook._save_checkpoint_with_step(runner, 3, {})
    sent.assert_not_called()
    runner.save_checkpoint.assert_not_called()


@pytest.mark.parametrize(('counts', 'factor'), [(1, 1 / 16), (16, 1)])
def test_a_sharded_runs_learning_rate_scales_with_an_optimizer_step(tmp_path, counts, factor):
    strategy = FSDPStrategy.__new__(FSDPStrategy)
    strategy._auto_scale_lr = {'enable': True, 'base_batch_size': 64}
    strategy.dispatch_kwargs = {'train_micro_batch_size_per_gpu': 2}
    strategy._world_size = 2
    strategy.logger = mock.Mock()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    strategy.optim_wrapper = OptimWrapper(optimizer, accumulative_counts=counts)
    strategy._scale_lr()
    assert optimizer.param_groups[0]['lr'] == pytest.approx(0.5 * factor)


def test_frozen_parts_are_not_broadcast():
    assert in_processes(2, wrap_parts_that_differ) == [0, 0]
