"""The 15 corruptions of ImageNet-C, for images of any size (Hendrycks and Dietterich, ICLR 2019).

Severities are the authors', who tuned them for 224 x 224 pixels. As in the benchmark for detection
(Michaelis et al., "Benchmarking Robustness in Object Detection", 2019) they stay the same for
larger images, and annotations stay where they are. Frost is drawn, as the photographs of frost that
the authors overlay are not to be had as a package: its numbers are near theirs, not theirs.
"""

from __future__ import annotations

import hashlib
from typing import Callable

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmaddp.registry import TRANSFORMS
from mmaddp.utils import check_choice

from .imagenet_variants import CORRUPTIONS, SEVERITIES

Generator = np.random.Generator
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
    """Pixels change places with near ones, between two blurs."""
    std, reach, rounds = setting
    image = cv2.GaussianBlur(image, (0, 0), std)
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    for _ in range(rounds):
        # One after the other in the authors' code; at once here, which is as random and fast.
        dy, dx = generator.integers(-reach, reach + 1, (2, height, width))
        image = image[np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)]
    return cv2.GaussianBlur(image, (0, 0), std)


@_register((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))
def motion_blur(image: np.ndarray, setting: tuple[int, float], generator: Generator) -> np.ndarray:
    """A blur along a line of a random direction within 45 degrees of the horizontal."""
    return blur_along(image, *setting, angle=generator.uniform(-45, 45))


def blur_along(image: np.ndarray, radius: int, std: float, angle: float) -> np.ndarray:
    """A one-sided Gaussian along a line, as a camera's motion leaves it."""
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    for distance in np.arange(0, radius, 0.5):
        x = round(radius + distance * np.cos(np.deg2rad(angle)))
        y = round(radius + distance * np.sin(np.deg2rad(angle)))
        kernel[y, x] = np.exp(-(distance**2) / (2 * std**2))
    return cv2.filter2D(image, -1, kernel / kernel.sum())


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
    noise = plasma(size, 1.6, generator)
    directions = generator.uniform(0, 180) + np.array([0, 60, 120])
    grain = generator.random(size).astype(np.float32)
    needles = np.max([blur_along(grain, 12, 8, angle) for angle in directions], axis=0)
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
    """Clouds in [0, 1]: octaves of noise, each ``decay`` times weaker and twice as fine."""
    clouds, weight, cells = np.zeros(size, np.float32), 1.0, 2
    while cells <= max(size):
        grid = generator.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
        clouds += weight * cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC)
        weight, cells = weight / decay, 2 * cells
    return (clouds - clouds.min()) / max(float(np.ptp(clouds)), 1e-6)


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
    """Enlarge a small copy without interpolation."""
    height, width = image.shape[:2]
    small = max(1, int(width * factor)), max(1, int(height * factor))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(reduced, (width, height), interpolation=cv2.INTER_NEAREST)


@_register(25, 18, 15, 10, 7)
def jpeg_compression(image: np.ndarray, quality: int, generator: Generator) -> np.ndarray:
    """Encode as JPEG and decode."""
    stored = np.rint(255 * image).astype(np.uint8)
    encoded = cv2.imencode('.jpg', stored, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR).astype(np.float32) / 255
