"""Killed with SIGKILL at any moment, a training resumes and ends with the same bits."""

import itertools
import os
import random
import signal
import time
from unittest import mock

import pytest
import torch
from mmengine.runner import ValLoop
from tiny_runs import (
    assert_same_training,
    classifier,
    die_inside_the_second_save,
    in_child,
    last_begun,
    last_checkpoint,
    run_training,
    seen,
    write_images,
)

from mmaddp.engine.resumption.checkpoints import (
    check_agreement,
    find_newest,
    read_training,
    remove_leftovers,
)
from mmaddp.utils import UserError

pytestmark = pytest.mark.generations

KILLED = -signal.SIGKILL


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'images')


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory, images):
    """Work folders of two runs that nothing killed, by ``by_epoch``."""
    folders = {}
    for by_epoch in (True, False):
        folders[by_epoch] = tmp_path_factory.mktemp('uninterrupted') / f'by_epoch_{by_epoch}'
        assert in_child(run_training, classifier(images, folders[by_epoch], by_epoch)) == 0
    return folders


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('workers', [0, 2])
def test_killed_before_an_iteration(tmp_path, images, uninterrupted, by_epoch, workers):
    work_dir = tmp_path / 'run'
    settings = {'train_dataloader.num_workers': workers}
    killed = {**settings, 'custom_hooks.1.kill_at': 7}
    assert in_child(run_training, classifier(images, work_dir, by_epoch, **killed)) == KILLED
    config = classifier(images, work_dir, by_epoch, **settings)
    assert in_child(run_training, config, True) == 0
    assert_same_training(uninterrupted[by_epoch], work_dir)
    assert len(seen(work_dir)) == 12


@pytest.mark.parametrize('by_epoch', [True, False])
def test_killed_while_writing_a_checkpoint(tmp_path, images, uninterrupted, by_epoch):
    work_dir = tmp_path / 'run'
    config = classifier(images, work_dir, by_epoch)
    assert in_child(die_inside_the_second_save, config) == KILLED
    # Only one checkpoint is kept: the first, whole, since the second never took its place.
    first = 'epoch_1.pth' if by_epoch else 'iter_3.pth'
    assert [path.name for path in work_dir.glob('*.pth')] == [first]
    assert list(work_dir.glob('.*.tmp'))
    assert read_training(work_dir / first)['meta']['seed'] is not None
    assert in_child(run_training, config, True) == 0
    assert not list(work_dir.glob('.*.tmp'))
    seed = last_checkpoint(work_dir)['meta']['seed']
    assert seed == last_checkpoint(uninterrupted[by_epoch])['meta']['seed']
    assert_same_training(uninterrupted[by_epoch], work_dir)


def test_killed_at_random_moments(tmp_path, images, uninterrupted):
    work_dir = tmp_path / 'run'
    settings = {'train_dataloader.num_workers': 2, 'custom_hooks.1.pause': 0.05}
    config = classifier(images, work_dir, False, **settings)
    seed = time.time_ns()
    moments = random.Random(seed)
    for iteration in sorted(moments.sample(range(9), 3)):
        wait = moments.uniform(0, 0.05)

        def passed(iteration=iteration, wait=wait):
            """Whether a moment after the start of an iteration has come."""
            begun = last_begun(work_dir) >= iteration
            time.sleep(wait * begun)
            return begun

        ended = in_child(run_training, config, True, kill_when=passed)
        assert ended == KILLED, f'seed {seed}: ended before it was killed after {iteration}'
    assert in_child(run_training, config, True) == 0, f'seed {seed}'
    assert_same_training(uninterrupted[False], work_dir)


def test_a_kill_inside_the_last_validation_loses_no_metrics(tmp_path, images):
    """The last checkpoint is whole before the last validation begins."""
    work_dir = tmp_path / 'run'
    for by_epoch in (True, False):
        config = classifier(images, work_dir / str(by_epoch), by_epoch)
        run_training(config)
        with mock.patch.object(ValLoop, 'run') as validate:
            run_training(config, resume=True)
        assert validate.call_count == 1


def test_resuming_batches_that_a_sampler_groups(tmp_path, images):
    grouped = {
        'train_dataloader.batch_sampler': {'type': 'ParityBatchSampler'},
        'train_dataloader.num_workers': 2,
    }
    folders = [tmp_path / 'whole', tmp_path / 'resumed']
    assert in_child(run_training, classifier(images, folders[0], False, **grouped)) == 0
    killed = {**grouped, 'custom_hooks.1.kill_at': 7}
    config = classifier(images, folders[1], False, **killed)
    assert in_child(run_training, config) == KILLED
    config.custom_hooks[1].kill_at = None
    assert in_child(run_training, config, True) == 0
    assert_same_training(*folders)


def test_a_seed_that_was_sampled_is_taken_up_again(tmp_path, images):
    folders = [tmp_path / 'first', tmp_path / 'again']
    unseeded = {'randomness.seed': None, 'custom_hooks.1.kill_at': 7}
    config = classifier(images, folders[0], False, **unseeded)
    assert in_child(run_training, config) == KILLED
    config.custom_hooks[1].kill_at = None
    assert in_child(run_training, config, True) == 0
    seed = last_checkpoint(folders[0])['meta']['seed']
    config = classifier(images, folders[1], False, **{'randomness.seed': seed})
    assert in_child(run_training, config) == 0
    assert_same_training(*folders)


def test_gradients_of_an_unfinished_cycle_are_kept(tmp_path, images):
    """Checkpoints after 3 and 6 iterations, an optimizer step every 4 or 5."""
    settings = {'optim_wrapper.accumulative_counts': 5}
    folders = [tmp_path / 'whole', tmp_path / 'resumed']
    assert in_child(run_training, classifier(images, folders[0], False, **settings)) == 0
    killed = {**settings, 'custom_hooks.1.kill_at': 7}
    assert in_child(run_training, classifier(images, folders[1], False, **killed)) == KILLED
    checkpoint = last_checkpoint(folders[1])
    assert checkpoint['meta']['iter'] == 6
    assert any(gradient.abs().sum() > 0 for gradient in checkpoint['gradients'].values())
    config = classifier(images, folders[1], False, **settings)
    assert in_child(run_training, config, True) == 0
    assert_same_training(*folders)


def test_resuming_inside_an_epoch(tmp_path, images, uninterrupted):
    """Epochs of 4 iterations with a checkpoint every 3: iteration 7 lies in the second epoch."""
    work_dir = tmp_path / 'run'
    checkpoints = {
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 3,
    }
    killed = {**checkpoints, 'custom_hooks.1.kill_at': 7}
    assert in_child(run_training, classifier(images, work_dir, True, **killed)) == KILLED
    config = classifier(images, work_dir, True, **checkpoints)
    assert in_child(run_training, config, True) == 0
    assert_same_training(uninterrupted[True], work_dir)


_seconds = itertools.count(1_700_000_000)


def _write(path, step, seed=0, at=None):
    """Write a checkpoint a second after the previous one, or ``at`` a time."""
    meta = {'epoch': step, 'iter': step, 'seed': seed}
    torch.save({'meta': meta, 'optimizer': {}, 'state_dict': {}}, path)
    at = next(_seconds) if at is None else at
    os.utime(path, (at, at))


class TestFindNewest:
    def test_nothing(self, tmp_path):
        assert find_newest(tmp_path) is None
        assert find_newest(tmp_path / 'absent') is None

    def test_a_kill_between_checkpoint_and_pointer(self, tmp_path):
        _write(tmp_path / 'iter_3.pth', 3)
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_3.pth'))
        _write(tmp_path / 'iter_6.pth', 6)
        assert find_newest(tmp_path).endswith('iter_6.pth')

    def test_broken_files_are_passed_over(self, tmp_path):
        _write(tmp_path / 'epoch_9.pth', 9)
        whole = tmp_path / 'epoch_10.pth'
        _write(whole, 10)
        whole.write_bytes(whole.read_bytes()[:100])
        (tmp_path / 'last_checkpoint').write_text('')
        assert find_newest(tmp_path).endswith('epoch_9.pth')

    def test_a_folder_that_was_moved(self, tmp_path):
        _write(tmp_path / 'epoch_2.pth', 2)
        (tmp_path / 'last_checkpoint').write_text('/somewhere/else/epoch_2.pth')
        assert find_newest(tmp_path) == str(tmp_path / 'epoch_2.pth')

    def test_a_folder_that_was_copied_in_another_order(self, tmp_path):
        for step in (3, 1, 2):
            _write(tmp_path / f'epoch_{step}.pth', step)
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
        assert find_newest(tmp_path).endswith('epoch_3.pth')

    @pytest.mark.parametrize('at', [None, 1_700_000_000])
    def test_a_folder_that_an_older_run_had_used(self, tmp_path, at):
        _write(tmp_path / 'epoch_9.pth', 9, at=at)
        _write(tmp_path / 'epoch_1.pth', 1, at=at)
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
        assert find_newest(tmp_path).endswith('epoch_1.pth')

    def test_weights_alone_cannot_be_resumed(self, tmp_path):
        torch.save({'state_dict': {}}, tmp_path / 'best.pth')
        with pytest.raises(UserError, match='no training state'):
            read_training(tmp_path / 'best.pth')

    def test_processes_that_see_different_folders(self):
        gathered = mock.patch('mmaddp.engine.resumption.checkpoints.all_gather_object')
        with gathered as gather:
            gather.return_value = ['w/iter_6.pth', 'w/iter_6.pth']
            check_agreement('w/iter_6.pth')
            gather.return_value = ['w/iter_6.pth', None]
            with pytest.raises(UserError, match=r'process 1: None\): work_dir must be a folder'):
                check_agreement(None)

    def test_leftovers_go_and_nothing_else(self, tmp_path):
        for name in ('.epoch_1.pth.abc.tmp', '.last_checkpoint.x.tmp', 'epoch_1.pth', 'notes.tmp'):
            (tmp_path / name).touch()
        remove_leftovers(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ['epoch_1.pth', 'notes.tmp']
