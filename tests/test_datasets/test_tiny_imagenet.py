"""Tiny-ImageNet, in its archive's layout, with pictures that are drawn here."""

from pathlib import Path

import pytest
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

import mmaddp  # noqa: F401
from mmaddp.utils import UserError

# The archive does not sort them.
WNIDS = ['n02124075', 'n01443537', 'n04067472']
RED = {wnid: 80 * place for place, wnid in enumerate(WNIDS)}


@pytest.fixture
def root(tmp_path) -> Path:
    """Two training and one validation image of each class, whose red tells the class."""
    init_default_scope('mmpretrain')
    (tmp_path / 'wnids.txt').write_text('\n'.join(WNIDS) + '\n')
    lines = []
    for number, wnid in enumerate(WNIDS):
        picture = Image.new('RGB', (64, 64), (RED[wnid], 9, 9))
        (tmp_path / 'train' / wnid / 'images').mkdir(parents=True)
        (tmp_path / 'train' / wnid / f'{wnid}_boxes.txt').write_text('\n')
        for image in range(2):
            picture.save(tmp_path / 'train' / wnid / 'images' / f'{wnid}_{image}.JPEG')
        (tmp_path / 'val/images').mkdir(parents=True, exist_ok=True)
        picture.save(tmp_path / 'val/images' / f'val_{number}.JPEG')
        lines.append(f'val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n')
    (tmp_path / 'val/val_annotations.txt').write_text(''.join(lines))
    return tmp_path


def build(root, split):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    return DATASETS.build(
        dict(type='mmaddp.TinyImageNet', data_root=str(root), split=split, pipeline=pipeline)
    )


@pytest.mark.parametrize(('split', 'length'), [('train', 6), ('val', 3)])
def test_labels_are_places_of_sorted_wnids(root, split, length):
    dataset = build(root, split)
    assert len(dataset) == length
    assert list(dataset.CLASSES) == sorted(WNIDS)
    for sample in dataset:
        wnid = sorted(WNIDS)[int(sample['data_samples'].gt_label)]
        red = sample['inputs'][2].float().mean()
        assert red == pytest.approx(RED[wnid], abs=4)


def test_an_unknown_split_is_refused(root):
    with pytest.raises(UserError, match="split='test' of TinyImageNet: must be one of train, val"):
        build(root, 'test')


@pytest.mark.parametrize(
    ('broken', 'split', 'message'),
    [
        (lambda root: (root / 'wnids.txt').unlink(), 'train', r'wnids.txt: missing or empty'),
        (
            lambda root: [p.unlink() for p in (root / 'train' / WNIDS[0]).rglob('*.JPEG')],
            'train',
            r'no \*.JPEG of the class n02124075',
        ),
        (
            lambda root: (root / 'val/val_annotations.txt').unlink(),
            'val',
            'val_annotations.txt: missing or empty',
        ),
        (
            lambda root: (root / 'val/images/val_1.JPEG').unlink(),
            'val',
            'line 2, val_1.JPEG: .*images lacks it',
        ),
        (
            lambda root: (root / 'wnids.txt').write_text('\n'.join(WNIDS[:2])),
            'val',
            "line 3, val_2.JPEG: 'n04067472' is not in wnids.txt",
        ),
    ],
    ids=['no wnids', 'no images', 'no annotations', 'no such image', 'no such class'],
)
def test_what_is_missing_is_named(root, broken, split, message):
    broken(root)
    with pytest.raises(UserError, match=f'{message}.*TINY_IMAGENET_DIR') as raised:
        build(root, split)
    assert '\n' not in str(raised.value)
