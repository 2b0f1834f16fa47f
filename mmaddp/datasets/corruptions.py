"""The 15 corruptions of ImageNet-C, for images of any size (Hendrycks and Dietterich, ICLR 2019).

Severities are the authors', who tuned them for 224 x 224 pixels. As in the benchmark for detection
(Michaelis et al., "Benchmarking Robustness in Object Detection", 2019) they stay the same for
larger images, and annotations stay where they are. Frost is drawn, and not overlaid from the
authors' photographs. It is weaker than theirs.
"""

from __future__ import annotations

import hashlib
from typing import Callable

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmaddp.registry import TRANSFORMS
from mmaddp.utils import check_choice

from .imagenet_variants import CORRUPTIONS, SEVERITIES

Generator = np.random.Generator
# Grows whenever a corruption gives other images.
VERSION = 2
_FUNCTIONS: dict[str, tuple[Callable, tuple]] = {}


@TRANSFORMS.register_module()
class Corrupt(BaseTransform):
    """Corrupt ``results['img']``, uint8 BGR, right after it was loaded.

    The noise is a function of the seed and the file's name: each model sees the same image.

    Args:
        corruption: One of the 15 names of ImageNet-C, such as 'fog'.
        severity: 1 to 5.
        seed: Seed of the noise.
    """

    def __init__(self, corruption: str, severity: int = 1, seed: int = 0) -> None:
        check_choice('corruption', corruption, CORRUPTIONS)
        check_choice('severity', severity, SEVERITIES)
        self.corruption, self.severity, self.seed = corruption, severity, seed

    def transform(self, results: dict) -> dict:
        """Corrupt the image."""
        name = str(results.get('img_path', '')).rsplit('/', 1)[-1]
        key = f'{self.seed}/{self.corruption}/{self.severity}/{name}'
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], 'big')
        results['img'] = corrupt(
            results['img'], self.corruption, self.severity, np.random.default_rng(seed)
        )
        return results


def corrupt(image: np.ndarray, name: str, severity: int, generator: Generator) -> np.ndarray:
    """Corrupt an image.

    Args:
        image: uint8 (H, W, 3), BGR.
        name: One of the 15 names.
        severity: 1 to 5.
        generator: Source of the noise.

    Returns:
        uint8 (H, W, 3).
    """
    function, settings = _FUNCTIONS[name]
    result = function(image.astype(np.float32) / 255, settings[severity - 1], generator)
    return np.clip(np.rint(255 * result), 0, 255).astype(np.uint8)


def _register(*settings: object) -> Callable[[Callable], Callable]:
    """Register the function as the corruption of its name, with the settings of severity 1 to 5."""

    def register(function: Callable) -> Callable:
        _FUNCTIONS[function.__name__] = function, settings
        return function

    return register


@_register(0.08, 0.12, 0.18, 0.26, 0.38)
def gaussian_noise(image: np.ndarray, std: float, generator: Generator) -> np.ndarray:
    """Noise of electronic sensors."""
    return image + generator.normal(0, std, image.shape)


@_register(60, 25, 12, 5, 3)
def shot_noise(image: np.ndarray, photons: float, generator: Generator) -> np.ndarray:
    """Poisson noise; ``photons`` is the expected count of a white pixel."""
    return generator.poisson(photons * image) / photons


@_register(0.03, 0.06, 0.09, 0.17, 0.27)
def impulse_noise(image: np.ndarray, share: float, generator: Generator) -> np.ndarray:
    """Salt and pepper in each channel, as many of either."""
    chance = generator.random(image.shape)
    return np.where(chance < share / 2, 0, np.where(chance > 1 - share / 2, 1, image))


@_register((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
def defocus_blur(image: np.ndarray, setting: tuple[int, float], generator: Generator) -> np.ndarray:
    """A disk of the given radius, its edge smoothed."""
    radius, std = setting
    reach = max(8, radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.float32)
    side = 3 if radius <= 8 else 5
    kernel = cv2.GaussianBlur(disk / disk.sum(), (side, side), std)
    return cv2.filter2D(image, -1, kernel)


@_register((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
def glass_blur(
    image: np.ndarray, setting: tuple[float, int, int], generator: Generator
) -> np.ndarray:
    """Pixels become copies of near ones, between two blurs."""
    std, reach, rounds = setting
    image = cv2.GaussianBlur(image, (0, 0), std)
    sources = copied_pixels(image.shape[:2], reach, rounds, generator)
    image = image.reshape(-1, image.shape[2])[sources].reshape(image.shape)
    return cv2.GaussianBlur(image, (0, 0), std)


def copied_pixels(
    size: tuple[int, int], reach: int, rounds: int, generator: Generator
) -> np.ndarray:
    """Find which pixel each is a copy of after all rounds: flat indices (H * W,).

    The authors write an exchange, but their arrays are views: the pixel is overwritten, and its
    partner stays. It goes from the last pixel to the first, and a copy may be copied again, so
    pixels travel farther than ``reach``. One after the other here too, as at once is weaker.
    """
    height, width = size
    # As in the authors' loops: a border is left out, and no offset is + reach.
    rows, columns = np.arange(height - reach, reach, -1), np.arange(width - reach, reach, -1)
    targets = (rows[:, None] * width + columns).ravel()
    # Lists, as single items of arrays are slow.
    sources = list(range(height * width))
    for _ in range(rounds):
        dy, dx = generator.integers(-reach, reach, (2, len(targets)))
        for target, partner in zip(targets.tolist(), (targets + dy * width + dx).tolist()):
            sources[target] = sources[partner]
    return np.array(sources)


@_register((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))
def motion_blur(image: np.ndarray, setting: tuple[int, float], generator: Generator) -> np.ndarray:
    """A blur along a line of a random direction within 45 degrees of the horizontal."""
    return blur_along(image, *setting, angle=generator.uniform(-45, 45))


def blur_along(image: np.ndarray, radius: int, std: float, angle: float) -> np.ndarray:
    """Blur along a line from each pixel to one side, as a camera's motion does.

    Args:
        image: float32 (H, W) or (H, W, C).
        radius: Half the length of the line, in pixels.
        std: Deviation of the Gaussian, whose peak is at the pixel itself.
        angle: Degrees from the horizontal, downward.
    """
    # The border is repeated, as by ImageMagick, which the authors call.
    return cv2.filter2D(
        image, -1, motion_kernel(radius, std, angle), borderType=cv2.BORDER_REPLICATE
    )


def motion_kernel(radius: int, std: float, angle: float) -> np.ndarray:
    """One half of a Gaussian along a line from the center: float32 (4r + 1, 4r + 1), sum 1.

    ImageMagick's kernel has 2 * radius + 1 taps, all on one side, each at its nearest pixel.
    """
    reach = 2 * radius
    distance = np.arange(reach + 1)
    weights = np.exp(-(distance**2) / (2 * std**2))
    # The nearest pixel, and the lower one of two that are as near.
    x, y = (
        np.ceil(distance * part - 0.5).astype(int)
        for part in (np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle)))
    )
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    # Two taps may share a pixel.
    np.add.at(kernel, (reach + y, reach + x), weights / weights.sum())
    return kernel


@_register((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
def zoom_blur(image: np.ndarray, setting: tuple[float, float], generator: Generator) -> np.ndarray:
    """The mean of the image and its enlargements up to a factor."""
    factors = np.arange(1, *setting)
    return (image + sum(zoom(image, factor) for factor in factors)) / (len(factors) + 1)


def zoom(image: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge around the center, and cut to the size of the image."""
    height, width = image.shape[:2]
    center = (width - 1) / 2, (height - 1) / 2
    matrix = cv2.getRotationMatrix2D(center, 0, factor)
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)


@_register(
    # Mean and deviation of the layer, its zoom and threshold, radius and deviation of the motion,
    # and how much of the image stays.
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
def snow(image: np.ndarray, setting: tuple, generator: Generator) -> np.ndarray:
    """Falling flakes over a whitened image."""
    mean, std, factor, threshold, radius, blur, kept = setting
    height, width = image.shape[:2]
    flakes = zoom(generator.normal(mean, std, (height, width)).astype(np.float32), factor)
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
    flakes = blur_along(flakes, radius, blur, generator.uniform(45, 135))[..., None]
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None]
    whitened = np.maximum(image, gray * 1.5 + 0.5)
    return kept * image + (1 - kept) * whitened + flakes + np.rot90(flakes, 2)


@_register((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
def frost(image: np.ndarray, setting: tuple[float, float], generator: Generator) -> np.ndarray:
    """Ice on a lens: bright needles, denser toward the corners."""
    kept, strength = setting
    return kept * image + strength * ice(image.shape[:2], generator)[..., None] * (0.95, 0.9, 0.85)


def ice(size: tuple[int, int], generator: Generator) -> np.ndarray:
    """A layer of needles in [0, 1], of fractal noise that is blurred along three directions."""
    noise = plasma(size, 1.6**0.5, generator)
    directions = generator.uniform(0, 180) + np.array([0, 60, 120])
    # With a margin of the blur's reach, as a repeated border would leave the brightest needles.
    radius = 12
    margin = 2 * radius
    grain = generator.random((size[0] + 2 * margin, size[1] + 2 * margin)).astype(np.float32)
    needles = np.max([blur_along(grain, radius, 8, angle) for angle in directions], axis=0)
    needles = needles[margin:-margin, margin:-margin]
    needles = (needles - needles.min()) / (np.ptp(needles) + 1e-6)
    y, x = (np.abs(np.linspace(-1, 1, side)) for side in size)
    edge = np.maximum(y[:, None], x[None])
    return np.clip(needles * (0.35 + 0.65 * noise) * (0.5 + edge), 0, 1)


@_register((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))
def fog(image: np.ndarray, setting: tuple[float, float], generator: Generator) -> np.ndarray:
    """Fractal clouds over the image, whose brightest pixel stays as bright."""
    amount, decay = setting
    brightest = float(image.max())
    clouds = plasma(image.shape[:2], decay, generator)[..., None]
    return (image + amount * clouds) * brightest / (brightest + amount)


def plasma(size: tuple[int, int], decay: float, generator: Generator) -> np.ndarray:
    """Clouds: float32 (H, W), cut out of a square in [0, 1] that repeats itself on all sides.

    Diamond-square: from a single height, the mean of four neighbors plus noise fills the midpoints,
    first of the squares and then of their edges, with half the distance in each octave.
    """
    side = 1 << (max(size) - 1).bit_length()
    clouds = np.zeros((side, side), np.float32)
    step, spread = side, 1.0

    def midpoints(*neighbors: np.ndarray) -> np.ndarray:
        return sum(neighbors) / 4 + generator.uniform(-spread, spread, neighbors[0].shape)

    while step > 1:
        half = step // 2
        corners = clouds[::step, ::step]
        below, right = np.roll(corners, -1, axis=0), np.roll(corners, -1, axis=1)
        centers = midpoints(corners, below, right, np.roll(below, -1, axis=1))
        clouds[half::step, half::step] = centers
        clouds[::step, half::step] = midpoints(corners, right, centers, np.roll(centers, 1, axis=0))
        clouds[half::step, ::step] = midpoints(corners, below, centers, np.roll(centers, 1, axis=1))
        # The authors' noise is ``wibble`` times a number up to ``wibble``, and ``wibble`` is
        # divided by ``decay``: hence the square.
        step, spread = half, spread / decay**2
    clouds = (clouds - clouds.min()) / max(float(np.ptp(clouds)), 1e-6)
    return clouds[: size[0], : size[1]]


@_register(0.1, 0.2, 0.3, 0.4, 0.5)
def brightness(image: np.ndarray, added: float, generator: Generator) -> np.ndarray:
    """Add to the value of HSV."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[..., 2] = np.clip(hsv[..., 2] + added, 0, 1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


@_register(0.4, 0.3, 0.2, 0.1, 0.05)
def contrast(image: np.ndarray, factor: float, generator: Generator) -> np.ndarray:
    """Shrink the distances to the mean color."""
    mean = image.mean(axis=(0, 1), keepdims=True)
    return (image - mean) * factor + mean


@_register(0.0625, 0.08125, 0.10625, 0.125, 0.15)
def elastic_transform(image: np.ndarray, share: float, generator: Generator) -> np.ndarray:
    """Stretch small regions by a smooth random displacement, as in the benchmark for detection.

    That of ImageNet-C also turns and shears the image, which would move objects off their boxes.
    """
    height, width = image.shape[:2]
    reach = share * height
    moved = generator.uniform(-reach, reach, (2, height, width)).astype(np.float32)
    std = 0.01 * width, 0.01 * height
    dx, dy = (cv2.GaussianBlur(part, (0, 0), sigmaX=std[0], sigmaY=std[1]) for part in moved)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return cv2.remap(image, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


@_register(0.6, 0.5, 0.4, 0.3, 0.25)
def pixelate(image: np.ndarray, factor: float, generator: Generator) -> np.ndarray:
    """Shrink and enlarge by PIL's box filter, as the authors do."""
    height, width = image.shape[:2]
    small = max(1, int(width * factor)), max(1, int(height * factor))
    # To enlarge, too: the box filter may average two pixels, which the nearest neighbor does not.
    stored = Image.fromarray(np.rint(255 * image).astype(np.uint8))
    reduced = stored.resize(small, Image.Resampling.BOX)
    enlarged = reduced.resize((width, height), Image.Resampling.BOX)
    return np.asarray(enlarged).astype(np.float32) / 255


@_register(25, 18, 15, 10, 7)
def jpeg_compression(image: np.ndarray, quality: int, generator: Generator) -> np.ndarray:
    """Encode as JPEG and decode."""
    stored = np.rint(255 * image).astype(np.uint8)
    encoded = cv2.imencode('.jpg', stored, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR).astype(np.float32) / 255
