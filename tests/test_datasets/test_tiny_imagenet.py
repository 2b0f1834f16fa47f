"""Tiny-ImageNet, in its archive's layout, with images drawn here."""

from pathlib import Path

import pytest
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

import mmaddp  # noqa: F401
from mmaddp.utils import UserError

# The archive does not sort them.
WNIDS = ['n02124075', 'n01443537', 'n04067472']
RED = {wnid: 80 * position for position, wnid in enumerate(WNIDS)}


@pytest.fixture
def root(tmp_path) -> Path:
    """Two training and one validation image of each class, whose red tells the class."""
    init_default_scope('mmpretrain')
    (tmp_path / 'wnids.txt').write_text('\n'.join(WNIDS) + '\n')
    lines = []
    for number, wnid in enumerate(WNIDS):
        drawn = Image.new('RGB', (64, 64), (RED[wnid], 9, 9))
        (tmp_path / 'train' / wnid / 'images').mkdir(parents=True)
        (tmp_path / 'train' / wnid / f'{wnid}_boxes.txt').write_text('\n')
        for image in range(2):
            drawn.save(tmp_path / 'train' / wnid / 'images' / f'{wnid}_{image}.JPEG')
        (tmp_path / 'val/images').mkdir(parents=True, exist_ok=True)
        drawn.save(tmp_path / 'val/images' / f'val_{number}.JPEG')
        lines.append(f'val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n')
    (tmp_path / 'val/val_annotations.txt').write_text(''.join(lines))
    return tmp_path


def build(root, split):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    return DATASETS.build(
        dict(type='mmaddp.TinyImageNet', data_root=str(root), split=split, pipeline=pipeline)
    )


@pytest.mark.parametrize(('split', 'length'), [('train', 6), ('val', 3)])
def test_labels_are_positions_among_sorted_wnids(root, split, length):
    dataset = build(root, split)
    assert len(dataset) == length
    assert list(dataset.CLASSES) == sorted(WNIDS)
    for sample in dataset:
        wnid = sorted(WNIDS)[int(sample['data_samples'].gt_label)]
        red = sample['inputs'][2].float().mean()
        assert red == pytest.approx(RED[wnid], abs=4)


def test_an_unknown_split_is_refused(root):
    with pytest.raises(UserError, match="split='test' is none of 'train', 'val'"):
        build(root, 'test')


def test_a_class_without_images_is_named(root):
    for path in (root / 'train' / WNIDS[0]).rglob('*.JPEG'):
        path.unlink()
    with pytest.raises(UserError, match=r'no \*.JPEG of the class n02124075.*TINY_IMAGENET_DIR'):
        build(root, 'train')


@pytest.mark.parametrize('name', ['wnids.txt', 'val/val_annotations.txt'])
def test_a_missing_file_is_named(root, name):
    (root / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        build(root, 'val')


def test_an_annotation_of_an_unknown_class_is_refused(root):
    (root / 'wnids.txt').write_text('\n'.join(WNIDS[:2]))
    with pytest.raises(KeyError, match='n04067472'):
        build(root, 'val')
