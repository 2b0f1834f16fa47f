"""Resumed with another config: its settings count, its model must be the checkpoint's."""

import math
import shutil
import signal
from itertools import chain
from unittest import mock

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from tiny_runs import (
    assert_same_training,
    classifier,
    in_child,
    last_checkpoint,
    run_training,
    seen,
    write_images,
)

from mmaddp.apis.prediction import Predictor
from mmaddp.engine.resumption import settings as settings_module
from mmaddp.engine.resumption.checkpoints import find_newest
from mmaddp.engine.runs import test as run_test
from mmaddp.utils import UserError

RATES: list[tuple[int, float]] = []


@HOOKS.register_module()
class RateRecorder(Hook):
    """Notes the learning rate of each iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        RATES.append((runner.iter, runner.optim_wrapper.param_groups[0]['lr']))


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'images')


@pytest.fixture(scope='module')
def ended(tmp_path_factory, images):
    """Work folders of whole runs: 3 epochs of 4 iterations, or 12 iterations, lr 0.01."""
    folders = {}
    for by_epoch in (True, False):
        folders[by_epoch] = tmp_path_factory.mktemp('ended') / f'by_epoch_{by_epoch}'
        run_training(classifier(images, folders[by_epoch], by_epoch))
    return folders


@pytest.fixture
def resume(tmp_path, images, ended):
    """Resumes a copy of a whole run with other settings; gives its last checkpoint."""

    def function(by_epoch=False, **settings):
        work_dir = tmp_path / 'run'
        if not work_dir.exists():
            shutil.copytree(ended[by_epoch], work_dir)
        RATES.clear()
        config = classifier(images, work_dir, by_epoch, **settings)
        config.custom_hooks.append(dict(type='RateRecorder'))
        run_training(config, resume=True)
        return last_checkpoint(work_dir)

    return function


def cosine(position, end, lr=0.01):
    return pytest.approx(lr * (1 + math.cos(math.pi * position / end)) / 2, rel=1e-6)


def test_a_prolonged_schedule(resume):
    resume(**{'train_cfg.max_iters': 20, 'param_scheduler.0.T_max': 20})
    assert [(i, cosine(i, 20)) for i in range(12, 20)] == RATES


def test_a_prolonged_schedule_of_epochs(resume):
    resume(by_epoch=True, **{'train_cfg.max_epochs': 5, 'param_scheduler.0.T_max': 5})
    assert [(i, cosine(i // 4, 5)) for i in range(12, 20)] == RATES


def test_a_lower_learning_rate(resume):
    settings = {'train_cfg.max_iters': 14, 'optim_wrapper.optimizer.lr': 1e-5}
    end = resume(**settings, **{'param_scheduler': []})
    assert RATES == [(12, 1e-5), (13, 1e-5)]
    # The moments are the checkpoint's.
    assert end['optimizer']['state'][0]['step'] == 14


def test_the_line_about_what_has_changed(resume, capfd):
    resume(**{'train_cfg.max_iters': 13, 'optim_wrapper.optimizer.lr': 1e-5, 'randomness.seed': 7})
    told = ''.join(capfd.readouterr())
    for change in ('lr=1e-05 (was 0.01)', 'max_iters=13 (was 12)', 'randomness.seed=7 (was 1)'):
        assert change in told


@pytest.mark.parametrize(('given', 'seed'), [(7, 7), (None, 1)])
def test_the_seed_is_the_checkpoints_where_none_is_given(resume, given, seed):
    end = resume(**{'train_cfg.max_iters': 13, 'randomness.seed': given})
    assert end['meta']['seed'] == seed


@pytest.mark.parametrize('by_epoch', [True, False])
def test_a_replayed_schedule_has_the_same_bits(tmp_path, images, by_epoch):
    """A changed interval of validation has the schedule replayed; nothing else changes."""
    folders = [tmp_path / 'whole', tmp_path / 'resumed']
    run_training(classifier(images, folders[0], by_epoch))
    killed = classifier(images, folders[1], by_epoch, **{'custom_hooks.1.kill_at': 7})
    assert in_child(run_training, killed) == -signal.SIGKILL
    run_training(classifier(images, folders[1], by_epoch, **{'train_cfg.val_interval': 50}), True)
    assert_same_training(*folders)
    schedules = [last_checkpoint(folder)['param_schedulers'] for folder in folders]
    assert schedules[0] == schedules[1]


def test_epochs_of_another_length(resume):
    """Three epochs of 4 batches are behind it, so the next is the fourth, of 2 batches."""
    end = resume(by_epoch=True, **{'train_cfg.max_epochs': 4, 'train_dataloader.batch_size': 8})
    assert (end['meta']['epoch'], end['meta']['iter']) == (4, 8)
    assert [i for i, _ in RATES] == [6, 7]


def test_another_optimizer_begins_without_moments(resume):
    end = resume(**{'train_cfg.max_iters': 14, 'optim_wrapper.optimizer.type': 'SGD'})
    assert 'exp_avg' not in end['optimizer']['state'].get(0, {})


def test_moments_follow_their_parameters_into_other_groups(resume, ended):
    settings = {
        'train_cfg.max_iters': 13,
        'optim_wrapper.constructor': 'mmaddp.LayerDecayOptimWrapperConstructor',
        'optim_wrapper.paramwise_cfg': {'layer_decay_rate': 0.5},
        'optim_wrapper.optimizer.weight_decay': 0.05,
        'optim_wrapper.optimizer.betas': (0.9, 1 - 1e-9),
    }
    end, begin = resume(**settings), last_checkpoint(ended[False])
    moments = [
        {
            name: checkpoint['optimizer']['state'][number]['exp_avg_sq']
            for number, name in enumerate(chain(*checkpoint['optimized']['']))
        }
        for checkpoint in (begin, end)
    ]
    assert list(moments[0]) != list(moments[1])
    for name, moment in moments[0].items():
        torch.testing.assert_close(moments[1][name], moment, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'model.backbone.arch.num_layers': 3}, r'missing: backbone\.blocks\.2\.'),
        ({'model.backbone.arch.embed_dims': 12, 'model.head.in_channels': 12}, 'wrong shape'),
        ({'model.backbone.patch_size': 4}, r'expected \(8, 3, 4, 4\)'),
        ({'model.head.num_classes': 4}, r'head\.fc\.weight is \(3, 8\), expected \(4, 8\)'),
        ({'model.backbone.type': 'mmaddp.DARLViT'}, r'left over: backbone\.cls_token'),
    ],
)
def test_another_model_is_refused(resume, settings, message):
    with pytest.raises(UserError, match=rf'iter_12\.pth: .*{message}') as error:
        resume(**{'train_cfg.max_iters': 14}, **settings)
    assert '\n' not in str(error.value)


def damage(path):
    """Change one byte in the middle, where the tensors are."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


class TestDamagedFiles:
    @pytest.fixture
    def folder(self, tmp_path, images):
        settings = {'default_hooks.checkpoint.max_keep_ckpts': 2}
        run_training(classifier(images, tmp_path / 'run', False, **settings))
        return tmp_path / 'run'

    def test_the_one_before_is_taken(self, folder):
        assert find_newest(folder).endswith('iter_12.pth')
        damage(folder / 'iter_12.pth')
        assert find_newest(folder).endswith('iter_9.pth')

    def test_one_that_is_named_is_refused(self, folder, images):
        damage(folder / 'iter_12.pth')
        config = classifier(images, folder, False, **{'train_cfg.max_iters': 14})
        config.load_from, config.resume = str(folder / 'iter_12.pth'), True
        with pytest.raises(UserError, match=r'iter_12\.pth: damaged: the checksum of'):
            run_training(config)

    @pytest.mark.parametrize('garbage', [b'\xff\xfe\x00\x9c', b'x' * 5000, b'a\nb', b'\0', b'/'])
    def test_a_garbled_pointer(self, folder, garbage):
        (folder / 'last_checkpoint').write_bytes(garbage)
        assert find_newest(folder).endswith('iter_12.pth')


def test_the_order_of_data_goes_on(resume, tmp_path):
    resume(**{'train_cfg.max_iters': 14})
    assert sorted(seen(tmp_path / 'run')) == [12, 13]


@pytest.mark.parametrize(
    ('settings', 'told'),
    [
        ({'test_dataloader.dataset.pipeline.1.scale': 24}, 'pipeline.1.scale=24 (trained with 16)'),
        ({'model.data_preprocessor.mean': [0.0] * 3}, 'data_preprocessor.mean.0=0.0'),
        ({'model.backbone.drop_path_rate': 0.0, 'train_dataloader.batch_size': 2}, None),
    ],
)
def test_a_test_with_other_images_is_told(tmp_path, images, ended, settings, told):
    config = classifier(images, tmp_path / 'test', **settings)
    config.custom_hooks = []
    with mock.patch.object(settings_module, 'print_log') as log:
        run_test(config, find_newest(ended[False]))
    assert log.called is bool(told)
    assert told is None or told in log.call_args.args[0]


def test_a_prediction_of_other_images_is_told(images, ended, tmp_path):
    config = classifier(images, tmp_path, **{'test_dataloader.dataset.pipeline.1.scale': 24})
    with mock.patch.object(settings_module, 'print_log') as log:
        Predictor(config, find_newest(ended[False]))
    assert 'pipeline.1.scale=24 (trained with 16)' in log.call_args.args[0]
