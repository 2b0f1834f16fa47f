"""The 15 corruptions: any size, stronger with severity, the same for every model."""

import numpy as np
import pytest
from scipy import ndimage

from mmaddp.datasets import Corrupt, corrupt
from mmaddp.datasets.imagenet_variants import CORRUPTIONS


@pytest.fixture(scope='module')
def image():
    """A scene of soft shapes, 60 x 90, with all brightnesses."""
    noise = np.random.default_rng(0).random((60, 90, 3))
    smooth = ndimage.gaussian_filter(noise, (4, 4, 0))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return np.rint(255 * (0.1 + 0.7 * (smooth > 0.5))).astype(np.uint8)


def corrupted(image, name, severity, seed=0):
    return corrupt(image, name, severity, np.random.default_rng(seed)).astype(float)


@pytest.mark.parametrize('name', CORRUPTIONS)
def test_each_is_stronger_at_severity_5(image, name):
    errors = [np.square(corrupted(image, name, s) - image).mean() ** 0.5 for s in (1, 3, 5)]
    assert 1 < errors[0] < errors[2] < 200
    assert errors[1] > 0.9 * errors[0]
    assert corrupted(image, name, 3).shape == image.shape
    np.testing.assert_array_equal(corrupted(image, name, 3), corrupted(image, name, 3))


def test_the_known_ones_are_exact(image):
    """Values that follow from the benchmark's definitions."""
    gray = np.full((50, 70, 3), 102, np.uint8)
    # 102 / 255 = 0.4, plus 0.3 of brightness; no contrast to lose.
    assert corrupted(gray, 'brightness', 3) == pytest.approx(255 * 0.7, abs=0.6)
    assert (corrupted(gray, 'contrast', 5) == 102).all()
    noise = corrupted(gray, 'gaussian_noise', 1)
    assert noise.std() == pytest.approx(0.08 * 255, rel=0.05)
    # A Poisson count of 60 * 0.4, divided by 60.
    assert corrupted(gray, 'shot_noise', 1).std() == pytest.approx(255 * (24**0.5) / 60, rel=0.05)
    changed = corrupted(gray, 'impulse_noise', 5)
    assert np.isin(changed, (0, 102, 255)).all()
    assert (changed != 102).mean() == pytest.approx(0.27, abs=0.02)
    contrast = corrupted(image, 'contrast', 2)
    assert contrast.std(axis=(0, 1)) == pytest.approx(0.3 * image.std(axis=(0, 1)), rel=0.02)
    blocks = corrupted(image, 'pixelate', 5)
    assert len(np.unique(np.abs(np.diff(blocks, axis=1)).sum(axis=(0, 2)) > 0)) == 2
    # Blurs keep the mean of what is far from the border.
    for name in ('defocus_blur', 'motion_blur'):
        assert corrupted(gray, name, 5) == pytest.approx(102, abs=1)


def test_the_noise_follows_the_file_alone(image):
    results = [
        Corrupt('shot_noise', 2).transform(dict(img=image.copy(), img_path=f'{path}/1.jpg'))['img']
        for path in ('a', 'b')
    ]
    np.testing.assert_array_equal(*results)
    other = Corrupt('shot_noise', 2).transform(dict(img=image.copy(), img_path='a/2.jpg'))['img']
    assert (other != results[0]).any()
