"""Told to end by a scheduler, a training saves itself and ends; resumed, it has the same bits."""

import os
import signal
import time

import pytest
import torch
from tiny_faults import run_in_own_group
from tiny_processes import IN_PROCESSES, in_processes
from tiny_runs import (
    CHILDREN,
    assert_same_training,
    classifier,
    in_child,
    last_begun,
    last_checkpoint,
    run_training,
    write_images,
)

from mmaddp.engine.resumption.checkpoints import find_newest
from mmaddp.engine.resumption.preemption import REQUEUE


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'images')


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory, images):
    folders = {}
    for by_epoch in (True, False):
        folders[by_epoch] = tmp_path_factory.mktemp('uninterrupted') / f'by_epoch_{by_epoch}'
        run_training(classifier(images, folders[by_epoch], by_epoch))
    return folders


def signaled(config, iteration, number, **where):
    hook = dict(type='SignalAt', iteration=iteration, number=int(number), **where)
    config.custom_hooks = [*config.custom_hooks, hook]
    return config


def names(work_dir):
    return sorted(path.name for path in work_dir.glob('*.pth'))


def test_the_status_is_that_of_a_temporary_failure():
    assert REQUEUE == 75 == os.EX_TEMPFAIL


@pytest.mark.parametrize(
    ('by_epoch', 'iteration', 'number', 'before', 'after'),
    [
        (False, 4, signal.SIGTERM, ['iter_3.pth', 'preempted.pth'], ['iter_12.pth']),
        # The iteration has a regular checkpoint too.
        (False, 5, signal.SIGUSR1, ['iter_6.pth', 'preempted.pth'], ['iter_12.pth']),
        (True, 5, signal.SIGTERM, ['epoch_1.pth', 'preempted.pth'], ['epoch_3.pth']),
        # The epoch ends with this iteration.
        (True, 7, signal.SIGUSR1, ['epoch_1.pth', 'preempted.pth'], ['epoch_3.pth']),
    ],
)
def test_it_saves_ends_and_resumes(
    tmp_path, images, uninterrupted, by_epoch, iteration, number, before, after
):
    work_dir = tmp_path / 'run'
    handlers = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGUSR1)]
    with pytest.raises(SystemExit) as ended:
        run_training(signaled(classifier(images, work_dir, by_epoch), iteration, number))
    for one, handler in zip((signal.SIGTERM, signal.SIGUSR1), handlers):
        signal.signal(one, handler)
    assert ended.value.code == 75
    assert names(work_dir) == before
    assert find_newest(work_dir) == str(work_dir / 'preempted.pth')
    assert last_checkpoint(work_dir)['meta']['iter'] == iteration + 1
    run_training(classifier(images, work_dir, by_epoch), resume=True)
    assert_same_training(uninterrupted[by_epoch], work_dir)
    assert names(work_dir) == after


def test_in_the_middle_of_an_optimizer_step(tmp_path, images):
    """A step every 5 iterations; the signal comes in the third."""
    settings = {'optim_wrapper.accumulative_counts': 5}
    folders = [tmp_path / 'whole', tmp_path / 'resumed']
    run_training(classifier(images, folders[0], False, **settings))
    config = signaled(classifier(images, folders[1], False, **settings), 2, signal.SIGTERM)
    assert in_child(run_training, config) == 75
    run_training(classifier(images, folders[1], False, **settings), resume=True)
    assert_same_training(*folders)


def test_a_validation_that_is_due_is_not_left_out(tmp_path, images):
    """Validation follows the fifth iteration, in which the signal comes."""
    config = classifier(images, tmp_path / 'run', False, **{'train_cfg.val_interval': 5})
    assert in_child(run_training, signaled(config, 4, signal.SIGTERM)) == 75
    assert last_checkpoint(tmp_path / 'run')['meta']['iter'] == 6
    scalars = last_checkpoint(tmp_path / 'run')['message_hub']['log_scalars']
    assert 'val/accuracy/top1' in scalars


def test_the_last_iteration_ends_the_training(tmp_path, images, uninterrupted):
    config = signaled(classifier(images, tmp_path / 'run', False), 11, signal.SIGTERM)
    assert in_child(run_training, config) == 0
    assert_same_training(uninterrupted[False], tmp_path / 'run')


def test_a_signal_to_all_processes_of_a_job(tmp_path, images, uninterrupted):
    """Slurm tells the workers of dataloaders too, which must live until the end."""
    work_dir = tmp_path / 'run'
    settings = {'train_dataloader.num_workers': 2, 'custom_hooks.1.pause': 0.3}
    child = CHILDREN.Process(
        target=run_in_own_group, args=(classifier(images, work_dir, False, **settings),)
    )
    child.start()
    while last_begun(work_dir) < 3:
        assert child.is_alive()
        time.sleep(0.01)
    for number in (signal.SIGUSR1, signal.SIGTERM):
        os.killpg(child.pid, number)
    child.join()
    assert child.exitcode == 75
    settings['custom_hooks.1.pause'] = 0.0
    run_training(classifier(images, work_dir, False, **settings), resume=True)
    assert_same_training(uninterrupted[False], work_dir)


def test_two_processes_of_which_one_is_told(tmp_path, images):
    folders = [tmp_path / 'whole', tmp_path / 'resumed']
    configs = [classifier(images, folder, False) for folder in folders]
    for config in configs:
        config.merge_from_dict({**IN_PROCESSES, 'train_dataloader.batch_size': 2})
        config.custom_hooks = config.custom_hooks[:1]
    assert in_processes(2, run_training, configs[0]) == [0, 0]
    told = signaled(configs[1].copy(), 4, signal.SIGTERM, rank=1)
    assert in_processes(2, run_training, told) == [75, 75]
    assert names(folders[1]) == ['iter_3.pth', 'preempted.pth']
    assert in_processes(2, run_training, configs[1], True) == [0, 0]
    whole, resumed = (last_checkpoint(folder) for folder in folders)
    for key in ('state_dict', 'ema_state_dict'):
        for name, tensor in whole[key].items():
            assert torch.equal(resumed[key][name], tensor), name
