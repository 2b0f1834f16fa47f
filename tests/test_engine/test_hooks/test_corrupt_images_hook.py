"""Corrupt images end a run, or are skipped, counted and replaced, as the config says."""

from unittest import mock

import pytest
import tiny_faults  # noqa: F401
import torch
from mmengine.registry import init_default_scope
from tiny_addp import pretraining
from tiny_runs import last_checkpoint, run_training, seen, write_images

from mmaddp.engine.data import SeededDataset
from mmaddp.engine.resumption import PositionedIndex
from mmaddp.utils import UserError

BAD = ('red1.png', 'green3.png')


@pytest.fixture
def image_folder(tmp_path):
    """15 images, of which one is empty and one cut off."""
    folder = write_images(tmp_path / 'images')
    (folder / 'red' / BAD[0]).write_bytes(b'')
    cut = folder / 'green' / BAD[1]
    cut.write_bytes(cut.read_bytes()[:300])
    return folder


def images(folder, **settings):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='RandomResizedCrop', scale=16)]
    pipeline.append(dict(type='PackInputs'))
    data = dict(type='mmpretrain.CustomDataset', data_root=str(folder), pipeline=pipeline)
    data['_scope_'] = 'mmpretrain'
    return SeededDataset(data, seed=3, **settings)


def sample(dataset, index, draw):
    given = dataset[PositionedIndex(index, epoch=1, draw=draw)]
    return given['data_samples'], given['inputs']


def index_of(dataset, name):
    paths = [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]
    return next(index for index, path in enumerate(paths) if path.endswith(name))


class TestDataset:
    @pytest.fixture(autouse=True)
    def _scope(self):
        init_default_scope('mmpretrain')

    @pytest.mark.parametrize('bad', BAD)
    def test_replacement_depends_on_the_position_alone(self, image_folder, bad):
        used, fresh = (images(image_folder, skip_corrupt=True) for _ in range(2))
        index = index_of(used, bad)
        for other in range(5):
            used[other]
        (told, image), (again, same) = sample(used, index, 7), sample(fresh, index, 7)
        assert [path.endswith(bad) for path in told.corrupt_images] == [True]
        assert told.img_path == again.img_path
        assert not told.img_path.endswith(BAD)
        assert torch.equal(image, same)
        replacements = {sample(used, index, draw)[0].img_path for draw in range(20)}
        assert len(replacements) > 5

    def test_whole_images_are_as_without_the_option(self, image_folder):
        skipping = images(image_folder, skip_corrupt=True)
        with mock.patch.object(SeededDataset, '_look_for_images'):
            plain = images(image_folder)
        index = index_of(plain, 'blue2.png')
        (told, image), (_, same) = sample(skipping, index, 4), sample(plain, index, 4)
        assert 'corrupt_images' not in told
        assert torch.equal(image, same)

    def test_a_folder_of_nothing_else_is_given_up(self, image_folder):
        for path in image_folder.glob('*/*.png'):
            path.write_bytes(b'')
        with pytest.raises(UserError, match='are all corrupt'):
            images(image_folder, skip_corrupt=True)[0]


def test_the_error_names_the_option(tmp_path, image_folder):
    with pytest.raises(UserError, match=r'png .*skip_corrupt_images=True'):
        run_training(pretraining(image_folder, tmp_path / 'run'))


def test_skipped_and_counted_over_a_stop(tmp_path, image_folder, capsys):
    """Three epochs of all images, stopped in the second and resumed."""
    settings = {'skip_corrupt_images': True, 'train_dataloader.num_workers': 2}
    config = pretraining(image_folder, tmp_path / 'run', **settings)
    config.custom_hooks.append(dict(type='StopBefore', iteration=7))
    with pytest.raises(KeyboardInterrupt):
        run_training(config)
    run_training(pretraining(image_folder, tmp_path / 'run', **settings), resume=True)
    used = [name for names, _ in seen(tmp_path / 'run').values() for name in names]
    assert not set(used) & set(BAD)
    assert len(used) == 45
    scalars = last_checkpoint(tmp_path / 'run')['message_hub']['log_scalars']
    assert scalars['train/corrupt_images'].current() == 3 * len(BAD)
    output = ''.join(capsys.readouterr())
    # Once by each of the two runs.
    assert [output.count(f'{name} is corrupt: skipped') for name in BAD] == [2, 2]
