"""Classes are numbered by the training's folders in every split."""

import os

import pytest
from mmengine.config import Config
from PIL import Image

from mmaddp.datasets import ImageFolder
from mmaddp.datasets.image_files import CorruptImageError
from mmaddp.engine.data import GuardedDataset
from mmaddp.utils import UserError


def draw(folder, *names, count=2):
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new('RGB', (8, 8)).save(folder / name / f'{number}.png')


def labels(root, split='test', **settings):
    settings = dict(classes_from='train', **settings) if split != 'train' else settings
    dataset = ImageFolder(str(root), split, **settings)
    infos = map(dataset.get_data_info, range(len(dataset)))
    found = {os.path.basename(os.path.dirname(one['img_path'])): one['gt_label'] for one in infos}
    return found, dataset.metainfo['classes']


@pytest.fixture
def root(tmp_path):
    draw(tmp_path / 'train', 'ant', 'bee', 'cat')
    return tmp_path


def test_a_class_may_be_missing(root):
    draw(root / 'test', 'ant', 'cat')
    assert labels(root) == ({'ant': 0, 'cat': 2}, ('ant', 'bee', 'cat'))


@pytest.mark.parametrize('name', ['Cat', 'cats', 'dog'])
def test_other_classes_are_refused(root, name):
    draw(root / 'test', 'ant', name)
    with pytest.raises(UserError, match=rf"test.*\('{name}'\).*train.*'ant', 'bee', 'cat'"):
        labels(root)


@pytest.mark.parametrize('name', ['.ipynb_checkpoints', '__MACOSX', '@eaDir'])
@pytest.mark.parametrize('split', ['train', 'test'])
def test_folders_of_other_programs_are_no_classes(root, name, split):
    draw(root / 'test', 'ant', 'bee', 'cat')
    draw(root / split, name, f'bee/{name}')
    for one in ('train', 'test'):
        assert labels(root, one) == ({'ant': 0, 'bee': 1, 'cat': 2}, ('ant', 'bee', 'cat'))
        assert len(ImageFolder(str(root), one, with_label=False)) == 6


def test_empty_folders_are_no_classes(root):
    (root / 'train/aaa').mkdir()
    (root / 'train/bbb').mkdir()
    (root / 'train/bbb/a.txt').write_text('')
    (root / 'train/bbb/._0.png').write_text('')
    assert labels(root, 'train')[1] == ('ant', 'bee', 'cat')


def test_names_in_metainfo_decide(root):
    names = dict(metainfo=dict(classes=('cat', 'ant', 'dog', 'bee')))
    assert labels(root, 'train', **names)[0] == {'ant': 1, 'bee': 3, 'cat': 0}
    with pytest.raises(UserError, match=r"\('bee'\) are not classes of metainfo.classes"):
        labels(root, 'train', metainfo=dict(classes=('cat', 'ant', 'dog')))


def test_without_the_training(root):
    draw(root / 'test', 'ant')
    (root / 'train').rename(root / 'moved')
    with pytest.raises(UserError, match=r'train: has no folders of images.*classes_from'):
        labels(root)
    classes = ('ant', 'bee', 'cat')
    assert labels(root, metainfo=dict(classes=classes)) == ({'ant': 0}, classes)


def test_images_of_all_types_are_found(root):
    for suffix in ('webp', 'tiff', 'jfif', 'JPG'):
        Image.new('RGB', (8, 8)).save(root / f'train/ant/x.{suffix}')
    Image.new('RGB', (8, 8)).save(root / 'train/outside.png')
    assert len(ImageFolder(str(root), 'train')) == 6 + 4
    assert len(ImageFolder(str(root), 'train', with_label=False)) == 6 + 4 + 1


def test_what_is_left_out_is_said(root, monkeypatch):
    said = []
    monkeypatch.setattr('mmaddp.datasets.image_files.print_log', lambda text, *_: said.append(text))
    for name in ('a.txt', 'b.txt', 'c.psd'):
        (root / 'train/ant' / name).write_text('')
    Image.new('RGB', (8, 8)).save(root / 'train/outside.png')
    ImageFolder(str(root), 'train')
    (line,) = said
    assert line.endswith(
        'train: 6 images; 4 other files are left out: 2 with .txt, 1 with .psd, '
        '1 outside the class folders'
    )


def test_a_loop_of_links_ends(root):
    os.symlink(root / 'train', root / 'train/ant/again')
    draw(root / 'elsewhere', 'dog')
    os.symlink(root / 'elsewhere/dog', root / 'train/dog')
    assert labels(root, 'train')[0] == {'ant': 0, 'bee': 1, 'cat': 2, 'dog': 3}
    assert len(ImageFolder(str(root), 'train')) == 8


def guarded(root, split='train'):
    pipeline = [dict(type='LoadImageFromFile')]
    config = dict(type='mmaddp.ImageFolder', data_root=str(root), data_prefix=split)
    return GuardedDataset(dict(config, pipeline=pipeline), 'train_dataloader.dataset')


def test_numbers_of_32_bits_are_a_corrupt_image(tmp_path):
    (tmp_path / 'train/cat').mkdir(parents=True)
    Image.new('F', (8, 8)).save(tmp_path / 'train/cat/0.tif')
    with pytest.raises(CorruptImageError, match=r"0.tif holds pixels of 32 bits \(mode 'F'\)"):
        guarded(tmp_path)[0]


def test_a_decompression_bomb_is_a_corrupt_image(tmp_path, monkeypatch):
    draw(tmp_path / 'train', 'cat', count=1)
    # Without its end marker the file is read by Pillow, too.
    with open(tmp_path / 'train/cat/0.png', 'ab') as file:
        file.write(bytes(3000))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 30)
    with pytest.raises(CorruptImageError, match=r'0.png cannot be decoded \(Image size'):
        guarded(tmp_path)[0]


@pytest.mark.parametrize(
    'name', ['cifar10-folder_32', 'cifar10-folder_32_crop', 'image-folder_64', 'class-folder_256']
)
def test_configs_number_all_splits_alike(name, repository):
    config = Config.fromfile(repository / f'configs/_base_/datasets/{name}.py')
    assert config.train_dataloader.dataset.type == 'mmaddp.ImageFolder'
    for split in ('val', 'test'):
        dataset = config[f'{split}_dataloader'].dataset
        assert (dataset.type, dataset.classes_from) == ('mmaddp.ImageFolder', 'train')
