"""The 15 corruptions: any size, stronger with severity, the same for every model."""

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mmaddp.datasets import Corrupt, corrupt
from mmaddp.datasets.corruptions import blur_along, copied_pixels, motion_kernel, plasma
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
    # Blurs keep the mean of what is far from the border.
    for name in ('defocus_blur', 'motion_blur'):
        assert corrupted(gray, name, 5) == pytest.approx(102, abs=1)


@pytest.mark.parametrize(('radius', 'std'), [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)])
def test_motion_blur_is_half_a_gaussian_of_2_radius_plus_1_taps(radius, std):
    """ImageMagick's kernel: exp(-i^2 / 2 std^2) for i = 0 .. 2 radius, divided by the sum."""
    taps = np.array([np.exp(-(i**2) / (2 * std**2)) for i in range(2 * radius + 1)])
    taps /= taps.sum()
    image = np.random.default_rng(0).random((60, 90, 3)).astype(np.float32)
    kernel = motion_kernel(radius, std, angle=0)
    middle = len(kernel) // 2
    assert kernel[middle, middle:] == pytest.approx(taps, rel=1e-5)
    assert kernel.sum() == pytest.approx(1, rel=1e-5)
    assert motion_kernel(radius, std, angle=90)[middle:, middle] == pytest.approx(taps, rel=1e-5)
    # At 30 degrees the last tap is cos(30) to the right and half its distance down.
    ys, xs = np.nonzero(motion_kernel(radius, std, angle=30))
    assert (xs - middle).max() == np.floor(2 * radius * 3**0.5 / 2 + 0.5)
    assert (ys - middle).max() == radius
    # As a mean of shifted images, whose border is repeated.
    padded = np.pad(image, ((0, 0), (0, 2 * radius), (0, 0)), mode='edge')
    expected = sum(tap * padded[:, i : i + 90] for i, tap in enumerate(taps))
    assert blur_along(image, radius, std, 0) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(('severity', 'factor'), enumerate((0.6, 0.5, 0.4, 0.3, 0.25), start=1))
def test_pixelate_is_the_box_filter_of_pillow(severity, factor):
    image = np.random.default_rng(0).integers(0, 256, (61, 89, 3), dtype=np.uint8)
    small = Image.fromarray(image).resize((int(89 * factor), int(61 * factor)), Image.BOX)
    expected = np.asarray(small.resize((89, 61), Image.BOX))
    np.testing.assert_array_equal(corrupt(image, 'pixelate', severity, None), expected)


def test_pixelate_by_a_half_makes_the_means_of_2_by_2():
    image = np.kron([[10, 30], [50, 70]], np.ones((2, 2)))[..., None].repeat(3, 2)
    image = (image + np.array([[-4, 4] * 2, [4, -4] * 2] * 2)[..., None]).astype(np.uint8)
    blocks = corrupted(image, 'pixelate', 2)[..., 0]
    np.testing.assert_array_equal(blocks, np.kron([[10, 30], [50, 70]], np.ones((2, 2))))


@pytest.mark.parametrize(
    ('severity', 'std', 'reach', 'rounds'),
    [(1, 0.7, 1, 2), (2, 0.9, 2, 1), (3, 1, 2, 3), (4, 1.1, 3, 2), (5, 1.5, 4, 2)],
)
def test_glass_blur_copies_pixel_by_pixel(severity, std, reach, rounds):
    """The authors' loops: from the last pixel to the first, each becomes a copy of a near one."""
    image = np.random.default_rng(1).integers(0, 256, (20, 27, 3), dtype=np.uint8)
    generator = np.random.default_rng(0)
    pixels = cv2.GaussianBlur(image.astype(np.float32) / 255, (0, 0), std)
    for _ in range(rounds):
        rows, columns = range(20 - reach, reach, -1), range(27 - reach, reach, -1)
        offsets = generator.integers(-reach, reach, (2, len(rows), len(columns)))
        assert (offsets.min(), offsets.max()) == (-reach, reach - 1)
        for i, y in enumerate(rows):
            for j, x in enumerate(columns):
                pixels[y, x] = pixels[y + offsets[0, i, j], x + offsets[1, i, j]]
    expected = 255 * cv2.GaussianBlur(pixels, (0, 0), std)
    assert corrupted(image, 'glass_blur', severity) == pytest.approx(expected, abs=0.51)


def test_displacements_of_glass_blur_chain():
    """A pixel travels farther than one offset, and the border of ``reach`` pixels stays."""
    y, x = np.divmod(copied_pixels((40, 50), 2, 1, np.random.default_rng(0)), 50)
    dy, dx = y.reshape(40, 50) - np.arange(40)[:, None], x.reshape(40, 50) - np.arange(50)
    assert max(dy.max(), dx.max()) > 2
    for moved in (dy, dx):
        for border in (moved[:3], moved[39:], moved[:, :3], moved[:, 49:]):
            assert (border == 0).all()
    assert (copied_pixels((3, 4), 4, 2, np.random.default_rng(0)) == np.arange(12)).all()


@pytest.mark.parametrize(
    # Mean |difference| of neighbors in 40 of the authors' clouds, 224 x 224 cut out of 256 x 256.
    ('decay', 'roughness'),
    [(2, 0.0030), (1.7, 0.0037), (1.5, 0.0056), (1.4, 0.0086)],
)
def test_clouds_are_as_rough_as_the_authors(decay, roughness):
    clouds = [plasma((224, 224), decay, np.random.default_rng(seed)) for seed in range(40)]
    assert (clouds[0].shape, clouds[0].dtype) == ((224, 224), np.float32)
    for axis in (1, 2):
        found = np.abs(np.diff(clouds, axis=axis)).mean()
        # The spread of a single one is up to a quarter: 4 percent for each mean of 40.
        assert found == pytest.approx(roughness, rel=0.15)
    assert np.mean(clouds) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize('size', [(1, 1), (1, 5), (64, 64), (60, 90)])
def test_clouds_lie_in_0_to_1(size):
    clouds = plasma(size, 1.5, np.random.default_rng(0))
    assert clouds.shape == size
    assert 0 <= clouds.min() <= clouds.max() <= 1
    if size == (64, 64):
        assert (clouds.min(), clouds.max()) == (0, 1)


def test_the_noise_follows_the_file_alone(image):
    results = [
        Corrupt('shot_noise', 2).transform(dict(img=image.copy(), img_path=f'{path}/1.jpg'))['img']
        for path in ('a', 'b')
    ]
    np.testing.assert_array_equal(*results)
    other = Corrupt('shot_noise', 2).transform(dict(img=image.copy(), img_path='a/2.jpg'))['img']
    assert (other != results[0]).any()
