"""A loss or weights that are not finite end the run and leave the last good checkpoint alone."""

from pathlib import Path

import pytest
import torch
from tiny_addp import pretraining
from tiny_faults import train_to_the_error
from tiny_processes import in_processes
from tiny_runs import last_checkpoint, run_training, seen, write_images

from mmaddp.engine import FiniteLossHook
from mmaddp.utils import UserError

HOOK = {'default_hooks.finite_loss': dict(type='mmaddp.FiniteLossHook')}


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'images')


def poisoned(images, work_dir, settings=HOOK, **poison):
    """In iteration 6, whose checkpoint is due."""
    config = pretraining(images, work_dir, by_epoch=False, **settings)
    config.custom_hooks.append(dict(type='Poison', iteration=5, **poison))
    return config


def assert_nothing_saved_after_the_first(work_dir):
    assert [path.name for path in work_dir.glob('*.pth')] == ['iter_3.pth']
    assert last_checkpoint(work_dir)['meta']['iter'] == 3


def test_loss(tmp_path, images):
    with pytest.raises(UserError, match=r'^iteration 6: loss is nan, so nothing') as error:
        run_training(poisoned(images, tmp_path / 'run'))
    assert_nothing_saved_after_the_first(tmp_path / 'run')
    names, _ = seen(tmp_path / 'run')[5]
    assert [name in str(error.value) for name in names] == [True] * 4
    assert '\n' not in str(error.value)


def test_a_long_batch_is_listed_in_a_file(tmp_path, images):
    settings = {**HOOK, 'train_dataloader.batch_size': 5}
    with pytest.raises(UserError, match=r'and 1 more, listed in \S+not_finite_iter_6\.txt'):
        run_training(poisoned(images, tmp_path / 'run', settings))
    listed = (tmp_path / 'run' / 'not_finite_iter_6.txt').read_text().splitlines()
    assert [Path(path).name for path in listed] == seen(tmp_path / 'run')[5][0]
    assert all(Path(path).is_file() for path in listed)


def test_weights(tmp_path, images):
    """The loss before the step that spoiled them was finite."""
    with pytest.raises(UserError, match=r'^iteration 6: the weight \S+ is not finite, so this'):
        run_training(poisoned(images, tmp_path / 'run', after=True))
    assert_nothing_saved_after_the_first(tmp_path / 'run')


def test_buffers_may_be_infinite():
    class Masked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer('mask', torch.tensor([-torch.inf]))

    class Runner:
        model = torch.nn.ModuleDict({'block': Masked()})

    FiniteLossHook().before_checkpoint(Runner)


@pytest.mark.parametrize(
    ('after', 'message'), [(False, 'loss is nan'), (True, 'the weight decoder.')]
)
def test_all_processes_end_with_the_fault_of_the_one(tmp_path, images, after, message):
    """The first process, which saves, had a finite loss and finite weights of its own."""
    config = poisoned(images, tmp_path / 'run', rank=1, after=after)
    config.train_dataloader.batch_size = 2
    config.launcher = 'pytorch'
    assert in_processes(2, train_to_the_error, config, str(tmp_path / 'errors')) == [0, 0]
    told = [(tmp_path / f'errors{rank}').read_text() for rank in (0, 1)]
    assert told[0] == told[1]
    assert told[0].startswith(f'iteration 6: {message}')
    assert_nothing_saved_after_the_first(tmp_path / 'run')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='float16 is scaled on a GPU alone')
def test_steps_that_loss_scaling_leaves_out_pass(tmp_path, images):
    config = pretraining(images, tmp_path / 'run', by_epoch=False, **HOOK)
    config.optim_wrapper.update(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')
    config.optim_wrapper.loss_scale = dict(init_scale=2.0**40)
    run_training(config)
    scale = last_checkpoint(tmp_path / 'run')['optimizer']['loss_scaler']['scale']
    assert scale < 2.0**40
