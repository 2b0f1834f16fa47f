"""torchvision's data sets and parts of data sets, on images drawn here."""

import numpy as np
import pytest
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from PIL import Image

import mmaddp  # noqa: F401
from mmaddp.utils import UserError

COLORS = {'Forest': (10, 200, 30), 'River': (20, 40, 220)}
PIPELINE = [dict(type='mmaddp.LoadImage'), dict(type='PackInputs')]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


@pytest.fixture(scope='module')
def eurosat(tmp_path_factory):
    """Ten images of each of two of EuroSAT's classes, of one color each."""
    root = tmp_path_factory.mktemp('data')
    for name, color in COLORS.items():
        folder = root / 'eurosat/2750' / name
        folder.mkdir(parents=True)
        for number in range(10):
            Image.new('RGB', (8, 6), color).save(folder / f'{name}_{number}.png')
    return root


def config(root, **options) -> dict:
    return dict(type='mmaddp.TorchvisionDataset', name='EuroSAT', data_root=str(root), **options)


def test_images_are_bgr_with_their_labels(eurosat):
    dataset = DATASETS.build(config(eurosat))
    assert len(dataset) == 20
    info = dataset.get_data_info(13)
    assert info['img'].shape == (6, 8, 3)
    assert info['img'].dtype == np.uint8
    assert tuple(info['img'][0, 0]) == COLORS['River'][::-1]
    assert (info['gt_label'], info['img_shape']) == (1, (6, 8))


def test_a_pipeline_packs_them_and_files_alike(eurosat):
    arrays = DATASETS.build(config(eurosat, pipeline=PIPELINE))
    folder = dict(type='CustomDataset', data_root=str(eurosat / 'eurosat/2750'))
    files = DATASETS.build(dict(folder, pipeline=PIPELINE))
    for index in (0, 19):
        assert (arrays[index]['inputs'] == files[index]['inputs']).all()
        labels = [int(one[index]['data_samples'].gt_label) for one in (arrays, files)]
        assert labels[0] == labels[1]


def test_labels_get_the_indices_that_the_config_gives(eurosat):
    dataset = DATASETS.build(config(eurosat, labels=(1, 0)))
    assert [dataset.get_data_info(i)['gt_label'] for i in (0, 19)] == [1, 0]
    with pytest.raises(KeyError, match='0'):
        DATASETS.build(config(eurosat, labels=(7,))).get_data_info(0)


@pytest.mark.parametrize('name', ['SVHN', 'EuroSAT', 'CLEVRClassification', 'CIFAR100', 'SUN397'])
def test_absent_files_are_one_line(tmp_path, name):
    with pytest.raises(UserError, match=rf'cannot read {name} there .*download it with') as error:
        DATASETS.build(dict(type='mmaddp.TorchvisionDataset', name=name, data_root=str(tmp_path)))
    assert str(error.value).startswith(str(tmp_path))
    assert '\n' not in str(error.value)
    assert 'download=True' not in str(error.value)


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(AttributeError, match="no attribute 'EuroSAD'"):
        DATASETS.build({**config(tmp_path), 'name': 'EuroSAD'})


def parts_of(root, use, **settings) -> dict:
    whole = config(root)
    shares = dict(train=(0.0, 0.6), val=(0.6, 0.8), test=(0.8, 1.0))
    parts = {name: dict(whole, share=share) for name, share in shares.items()}
    return dict(type='mmaddp.DatasetParts', parts=parts, use=use, **settings)


def indices(dataset) -> list[int]:
    return [dataset.opened[0][1][i] for i in range(len(dataset))]


def test_shares_are_disjoint_whole_and_always_the_same(eurosat):
    opened = {use: DATASETS.build(parts_of(eurosat, (use,))) for use in ('train', 'val', 'test')}
    assert [len(dataset) for dataset in opened.values()] == [12, 4, 4]
    together = [index for dataset in opened.values() for index in indices(dataset)]
    assert sorted(together) == list(range(20))
    again = DATASETS.build(parts_of(eurosat, ('val',)))
    assert indices(again) == indices(opened['val'])
    # EuroSAT's images are sorted by class: a share must not be.
    labels = {opened['train'].get_data_info(i)['gt_label'] for i in range(12)}
    assert labels == {0, 1}


def test_parts_are_used_together(eurosat):
    both = DATASETS.build(parts_of(eurosat, ('train', 'val'), pipeline=PIPELINE))
    train, val = (DATASETS.build(parts_of(eurosat, (use,))) for use in ('train', 'val'))
    assert len(both) == len(train) + len(val)
    expected = val.get_data_info(1)
    assert both.get_data_info(len(train) + 1)['gt_label'] == expected['gt_label']
    sample = both[len(both) - 1]
    assert sample['inputs'].shape == (3, 6, 8)


def test_parts_that_do_not_exist_are_refused(eurosat):
    with pytest.raises(KeyError, match='dev'):
        DATASETS.build(parts_of(eurosat, ('dev',)))
    wrong = parts_of(eurosat, ('train',))
    wrong['parts']['train']['share'] = (0.5, 1.5)
    with pytest.raises(UserError, match=r'parts\.train\.share\[1\]=1.5: must be in'):
        DATASETS.build(wrong)


def test_an_empty_folder_in_a_part_is_named(tmp_path):
    (tmp_path / 'train').mkdir()
    part = dict(type='CustomDataset', data_root=str(tmp_path), data_prefix='train')
    with pytest.raises(UserError, match=r'parts\.train: Found 0 files'):
        DATASETS.build(dict(type='mmaddp.DatasetParts', parts=dict(train=part), use=('train',)))


def test_loading_leaves_a_given_image_alone():
    image = np.zeros((2, 2, 3), np.uint8)
    load = TRANSFORMS.build(dict(type='mmaddp.LoadImage'))
    assert load(dict(img=image))['img'] is image
