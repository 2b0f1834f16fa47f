"""Segmentation maps that train on nothing, or do not fit their images, are one line."""

import numpy as np
import pytest
from PIL import Image

from mmaddp.engine.data import GuardedDataset
from mmaddp.utils import UserError


def write(root, seg_map, count=3, suffix='jpg', orientation=1, size=(40, 30)):
    for kind in ('images', 'maps'):
        (root / kind).mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for number in range(count):
        Image.new('RGB', size).save(root / f'images/{number}.{suffix}', exif=exif)
        if seg_map is not None:
            Image.fromarray(seg_map).save(root / f'maps/{number}.png')


def build(root, classes=('road', 'car'), color_type='color', **settings):
    pipeline = [
        dict(type='mmseg.LoadImageFromFile', color_type=color_type),
        dict(type='mmseg.LoadAnnotations'),
        dict(type='mmseg.PackSegInputs'),
    ]
    config = dict(
        type='mmseg.BaseSegDataset',
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='maps'),
        metainfo=dict(classes=classes),
        pipeline=pipeline,
        **settings,
    )
    return GuardedDataset(config, 'train_dataloader.dataset')


def refused(root, message, **settings):
    with pytest.raises(UserError, match=message) as error:
        build(root, **settings)
    assert '\n' not in str(error.value)


def indices(height=30, width=40, foreground=1):
    seg_map = np.zeros((height, width), np.uint8)
    seg_map[5:10, 5:10] = foreground
    return seg_map


@pytest.fixture
def said(monkeypatch):
    lines = []
    module = 'mmaddp.datasets.seg_maps'
    monkeypatch.setattr(f'{module}.print_log', lambda text, *_: lines.append(text))
    return lines


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif', 'webp'])
def test_sound_maps_pass(tmp_path, suffix, said):
    write(tmp_path, indices(), suffix=suffix)
    dataset = build(tmp_path, img_suffix=f'.{suffix}')
    assert set(dataset[2]['data_samples'].gt_sem_seg.data.unique().tolist()) == {0, 1}
    assert not said


def test_a_palette_and_bits_are_indices(tmp_path):
    write(tmp_path, indices())
    Image.fromarray(indices()).convert('P').save(tmp_path / 'maps/0.png')
    Image.fromarray(indices().astype(bool)).save(tmp_path / 'maps/1.png')
    assert len(build(tmp_path)) == 3


@pytest.mark.parametrize('reduce', [False, True])
def test_maps_of_0_and_255(tmp_path, reduce):
    write(tmp_path, indices(foreground=255))
    message = r'maps/0.png: this and all .*only \(0, 255\): 255 is ignored.*write the indices'
    refused(tmp_path, message, reduce_zero_label=reduce)


def test_all_ignored(tmp_path):
    write(tmp_path, indices(foreground=0))
    refused(tmp_path, r'only \(0\).*reduce_zero_label=True ignores 0', reduce_zero_label=True)
    write(tmp_path, np.full((30, 40), 255, np.uint8))
    refused(tmp_path, r'only \(255\): 255 is ignored')


def test_a_rare_class_is_found_before_all_is_refused(tmp_path):
    write(tmp_path, indices(foreground=255), count=120)
    Image.fromarray(indices()).save(tmp_path / 'maps/7.png')
    assert len(build(tmp_path)) == 120


def test_one_class_is_said(tmp_path, said):
    write(tmp_path, indices(foreground=0))
    build(tmp_path)
    assert said == ["train_dataloader.dataset: all maps looked at hold one class, 'road'"]


@pytest.mark.parametrize(('value', 'reduce', 'label'), [(2, False, 2), (3, True, 2)])
def test_a_label_without_a_class(tmp_path, value, reduce, label):
    write(tmp_path, indices(foreground=value))
    message = rf'maps/0.png: label {label} is not in 0..1 of the 2 metainfo.classes'
    refused(tmp_path, message, reduce_zero_label=reduce)


def test_sixteen_bits_are_not_cut_to_eight(tmp_path):
    write(tmp_path, indices().astype(np.uint16) * 256)
    refused(tmp_path, r'label 256 is not in 0..1')


@pytest.mark.parametrize('channels', [3, 4])
def test_several_channels(tmp_path, channels):
    write(tmp_path, np.stack([indices()] * channels, -1))
    refused(tmp_path, rf'maps/0.png: has {channels} channels, and a map has one')


def test_another_size(tmp_path):
    write(tmp_path, indices(width=41))
    refused(tmp_path, r'maps/0.png: is 41 x 30, and its image .*images/0.jpg 40 x 30: resize')


def test_another_size_beyond_the_sample(tmp_path):
    write(tmp_path, indices(), count=120)
    dataset = build(tmp_path)
    Image.fromarray(indices(width=41)).save(tmp_path / 'maps/11.png')
    with pytest.raises(UserError, match=r'maps/11\d*.png: is 41 x 30'):
        [dataset[i] for i in range(120)]


def test_turned_by_exif(tmp_path):
    write(tmp_path, indices(), orientation=6)
    refused(tmp_path, r'30 x 40 by its EXIF tag: set color_type=.color_ignore_orientation')
    sample = build(tmp_path, color_type='color_ignore_orientation')[0]
    assert sample['inputs'].shape[1:] == sample['data_samples'].gt_sem_seg.data.shape[1:]
    write(tmp_path, indices(40, 30), orientation=6)
    assert build(tmp_path)[0]['inputs'].shape[1:] == (40, 30)
    refused(tmp_path, r"set color_type='color' of", color_type='color_ignore_orientation')


def test_upside_down_by_exif(tmp_path, said):
    write(tmp_path, indices(), orientation=3)
    build(tmp_path)
    (line,) = said
    assert '3 of 3 images looked at have an EXIF tag' in line
    build(tmp_path, color_type='color_ignore_orientation')
    assert len(said) == 1


@pytest.mark.parametrize('suffix', ['png', 'tiff', 'JPG'])
def test_images_of_another_ending(tmp_path, suffix):
    write(tmp_path, indices(), suffix=suffix)
    refused(tmp_path, rf"images ends with '.jpg', but .*: set img_suffix='.{suffix}'")


def test_images_of_another_ending_beside_others(tmp_path, said):
    write(tmp_path, indices(), suffix='png', count=5)
    write(tmp_path, indices())
    assert len(build(tmp_path)) == 3
    (line,) = said
    assert line.endswith("images: 3 images; others are left out, as img_suffix='.jpg': 5 with .png")


def test_no_maps(tmp_path):
    write(tmp_path, None)
    refused(tmp_path, r'maps/0.png: does not exist, nor any other map.*seg_map_suffix')
