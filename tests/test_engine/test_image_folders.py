"""A folder that is no folder of images is one clear line."""

from unittest import mock

import pytest
from tiny_addp import pretraining
from tiny_runs import run_training, write_images

from mmaddp.utils import UserError


def train(folder, work_dir, **settings):
    config = pretraining(folder, work_dir)
    config.train_dataloader.dataset.update(settings)
    with pytest.raises(UserError) as error:
        run_training(config)
    message = str(error.value)
    assert '\n' not in message
    assert 'train_dataloader.dataset' in message
    assert 'data_root' in message
    return message


def test_missing(tmp_path):
    message = train(tmp_path / 'absent', tmp_path / 'run')
    assert f'{tmp_path}/absent does not exist' in message


@pytest.mark.parametrize('labels', [True, False])
def test_empty(tmp_path, labels):
    (tmp_path / 'images').mkdir()
    message = train(tmp_path / 'images', tmp_path / 'run', with_label=labels)
    assert f'{tmp_path}/images' in message


def test_without_images(tmp_path):
    folder = tmp_path / 'images'
    (folder / 'texts').mkdir(parents=True)
    (folder / 'texts' / 'a.txt').write_text('a')
    assert '.png' in train(folder, tmp_path / 'run', with_label=False)


def test_without_class_folders(tmp_path):
    """Images are there, but no folder of a class: what unlabeled data look like."""
    folder = write_images(tmp_path / 'images') / 'red'
    assert 'with_label' in train(folder, tmp_path / 'run')


def test_a_file_in_its_position(tmp_path):
    (tmp_path / 'images').write_text('')
    assert f'{tmp_path}/images' in train(tmp_path / 'images', tmp_path / 'run')


def test_unreadable(tmp_path):
    """The tests may run as root, whom no right is denied."""
    folder = write_images(tmp_path / 'images')
    denied = PermissionError(13, 'Permission denied', str(folder))
    with mock.patch('os.scandir', side_effect=denied):
        message = train(folder, tmp_path / 'run')
    assert f'Permission denied: {str(folder)!r}' in message
