import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from mmaddp.datasets.shapes import Instance, draw_shapes
from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp('shapes') / 'set'
    draw_shapes(folder, num_train=12, num_val=3, size=128, seed=5)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_same_seed_same_bytes(drawn, tmp_path):
    draw_shapes(tmp_path / 'again', 12, 3, 128, 5)
    assert contents(tmp_path / 'again') == contents(drawn)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('.')]


def test_seeds_and_splits_differ(drawn, tmp_path):
    draw_shapes(tmp_path / 'other', 1, 1, 128, 6)
    images = [
        drawn / 'train/000001.jpg',
        drawn / 'val/000001.jpg',
        tmp_path / 'other/train/000001.jpg',
    ]
    assert len({path.read_bytes() for path in images}) == 3


def test_more_images_keep_the_first(drawn, tmp_path):
    draw_shapes(tmp_path / 'fewer', 4, 1, 128, 5)
    assert (tmp_path / 'fewer/train/000004.jpg').read_bytes() == (
        drawn / 'train/000004.jpg'
    ).read_bytes()


@pytest.mark.parametrize(('split', 'count'), [('train', 12), ('val', 3)])
def test_annotations_agree_with_one_another(drawn, split, count):
    coco = COCO(str(drawn / f'annotations/instances_{split}.json'))
    assert len(coco.imgs) == count
    for image in coco.imgs.values():
        assert (drawn / split / image['file_name']).is_file()
        records = coco.loadAnns(coco.getAnnIds(imgIds=image['id']))
        masks = [coco.annToMask(record) for record in records]
        assert records
        assert np.sum(masks, axis=0).max() == 1, 'visible parts overlap'
        for record, mask in zip(records, masks):
            rows, columns = np.nonzero(mask)
            x, y = columns.min(), rows.min()
            box = [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
            assert record['bbox'] == box
            assert record['area'] == mask.sum() >= 80


def test_every_class_occurs(drawn):
    content = json.loads((drawn / 'annotations/instances_train.json').read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    assert list(names.values()) == ['circle', 'triangle', 'square', 'star', 'cross']
    assert {record['category_id'] for record in content['annotations']} == set(names)


def test_what_is_in_front_hides_what_is_behind():
    square = np.zeros((40, 40), bool)
    square[5:35, 5:35] = True
    front = np.zeros((40, 40), bool)
    front[:, 20:] = True
    seen = Instance(label=2, visible=square, area=900).behind(front)
    assert seen.visible.sum() == 450
    assert seen.recognizable
    front[:, 12:] = True
    assert not seen.behind(front).recognizable


def test_folder_is_never_overwritten(drawn):
    before = contents(drawn)
    with pytest.raises(UserError, match='already exists'):
        draw_shapes(drawn, 1, 1, 128, 0)
    assert contents(drawn) == before
