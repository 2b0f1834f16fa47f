"""Training, the reference of FID and completions list the same files and see the same pixels."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmaddp.datasets.image_files import (
    IMAGE_SUFFIXES,
    CorruptImageError,
    list_files,
    read_header,
    read_image,
)
from mmaddp.engine.data import GuardedDataset
from mmaddp.evaluation.generation_features import ImageFiles, find_images
from mmaddp.experiments.images import read_images
from mmaddp.utils import UserError

# Red, green / blue, white / black, gray: three rows of two blocks of 8 x 8.
BLOCKS = np.array(
    [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]], [[0, 0, 0], [128, 128, 128]]],
    np.uint8,
)
PIXELS = BLOCKS.repeat(8, 0).repeat(8, 1)


def train_on(path):
    """What the first transform of a training gives, in RGB."""
    config = dict(
        type='mmaddp.ImageFolder',
        data_root=str(path.parent),
        with_label=False,
        pipeline=[dict(type='LoadImageFromFile')],
    )
    return GuardedDataset(config)[0]['img'][..., ::-1]


def assert_all_read(path, expected, tolerance=0):
    seen = {
        'training': train_on(path),
        'reference': ImageFiles(find_images(path.parent, deep=True))[0].permute(1, 2, 0).numpy(),
        'completion': read_images(str(path))[0],
    }
    for name, image in seen.items():
        assert image.shape == expected.shape, name
        assert np.abs(image.astype(int) - expected).max() <= tolerance, name


@pytest.mark.parametrize(
    ('name', 'mode'),
    [
        *(('0.png', mode) for mode in ('RGB', 'RGBA', 'P')),
        *(('0.tiff', mode) for mode in ('RGB', 'CMYK', 'P')),
        *((f'0.{suffix}', 'RGB') for suffix in ('bmp', 'dib', 'jp2', 'ppm', 'tga')),
        ('0.gif', 'P'),
    ],
)
def test_modes_and_types(tmp_path, name, mode):
    image = Image.fromarray(PIXELS)
    image = image.quantize(8) if mode == 'P' else image.convert(mode)
    image.save(tmp_path / name)
    assert_all_read(tmp_path / name, PIXELS)


@pytest.mark.parametrize('suffix', ['jpg', 'webp', 'avif'])
def test_lossy_types(tmp_path, suffix):
    path = tmp_path / f'0.{suffix}'
    Image.fromarray(PIXELS).save(path, quality=100)
    assert np.abs(read_image(path)[4::8, 4::8].astype(int) - BLOCKS).max() < 8
    assert_all_read(path, read_image(path))


def test_cmyk_photographs(tmp_path):
    Image.fromarray(PIXELS).convert('CMYK').save(tmp_path / '0.jpg', quality=100)
    assert_all_read(tmp_path / '0.jpg', read_image(tmp_path / '0.jpg'))
    assert np.abs(read_image(tmp_path / '0.jpg')[4::8, 4::8].astype(int) - BLOCKS).max() < 12


def test_transparency_is_dropped(tmp_path):
    image = Image.fromarray(PIXELS)
    image.putalpha(Image.new('L', image.size, 0))
    image.save(tmp_path / '0.png')
    assert_all_read(tmp_path / '0.png', PIXELS)


@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_16_bits_are_scaled(tmp_path, suffix):
    values = np.array([[0x0000, 0x4000], [0x8000, 0xFFFF]], np.uint16).repeat(8, 0).repeat(8, 1)
    Image.fromarray(values).save(tmp_path / f'0.{suffix}')
    expected = np.array([[0, 64], [128, 255]]).repeat(8, 0).repeat(8, 1)
    assert_all_read(tmp_path / f'0.{suffix}', expected[..., None].repeat(3, -1))


@pytest.mark.parametrize(('orientation', 'turns'), [(3, 2), (6, 3), (8, 1)])
def test_photographs_are_turned(tmp_path, orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / '0.png', exif=exif)
    turned = np.rot90(PIXELS, turns)
    assert_all_read(tmp_path / '0.png', turned)
    assert read_header(tmp_path / '0.png').turned == turned.shape[1::-1]


@pytest.mark.parametrize('shape', [(8, 8), (8, 8, 3)])
def test_floats_are_refused(tmp_path, shape):
    """OpenCV would make black and white of floats in [0, 1]."""
    path = tmp_path / '0.tif'
    path.write_bytes(cv2.imencode('.tif', np.full(shape, 0.5, np.float32))[1].tobytes())
    for read in (train_on, read_image, lambda path: ImageFiles([path])[0]):
        with pytest.raises(CorruptImageError, match=r'0\.tif '):
            read(path)


@pytest.mark.parametrize('suffix', ['gif', 'webp', 'tif', 'bmp', 'jpg', 'png', 'jp2', 'ppm'])
def test_truncated_files_are_named(tmp_path, suffix):
    path = tmp_path / f'0.{suffix}'
    Image.fromarray(PIXELS).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    for read in (train_on, read_image):
        with pytest.raises(CorruptImageError, match=rf'0\.{suffix} cannot be decoded'):
            read(path)


def test_zeros_in_the_place_of_pixels_are_named(tmp_path):
    """As a download leaves them that reserved its space first. Pillow decodes the file."""
    path = tmp_path / 'image.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2].ljust(len(content), b'\0'))
    with pytest.raises(CorruptImageError, match='cannot be decoded'):
        read_image(path)


def test_a_text_is_no_image(tmp_path):
    (tmp_path / '0.gif').write_text('words')
    with pytest.raises(CorruptImageError, match=r'0\.gif cannot be decoded'):
        train_on(tmp_path / '0.gif')
    with pytest.raises(CorruptImageError, match=r'1\.gif does not exist'):
        read_image(tmp_path / '1.gif')


def test_foreign_files_and_loops(tmp_path):
    for name in ('b/0.png', 'a.JPG', '._a.jpg', 'b/.c/0.png', '__MACOSX/a.png', 'a.txt'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'b/again').symlink_to(tmp_path)
    assert list_files(tmp_path) == ['a.JPG', 'a.txt', 'b/0.png']
    assert find_images(tmp_path, deep=True) == [tmp_path / 'a.JPG', tmp_path / 'b/0.png']
    assert find_images(tmp_path) == [tmp_path / 'a.JPG']
    with pytest.raises(UserError, match=r'a\.txt: not a folder with images'):
        find_images(tmp_path / 'a.txt')


def test_pillow_knows_all_types():
    assert set(IMAGE_SUFFIXES) <= set(Image.registered_extensions())
