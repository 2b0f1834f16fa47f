"""Rooms of textured shapes with exact classes and depths, drawn by a function."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset

from mmaddp.registry import DATASETS, TRANSFORMS

SHAPES = ('disc', 'square', 'triangle', 'sphere')
CLASSES = ('wall', 'floor', *SHAPES)
PALETTE = [
    [120, 120, 180],
    [150, 150, 150],
    [220, 60, 60],
    [220, 200, 60],
    [60, 180, 75],
    [70, 60, 220],
]
WALL_DEPTH = 9.0
NEAREST = 2.0


class Scene(NamedTuple):
    """An image with its ground truth.

    Attributes:
        image: (S, S, 3), uint8, BGR.
        labels: (S, S), uint8, indices of ``CLASSES``.
        depth: (S, S), float32, in meters along the optical axis.
    """

    image: np.ndarray
    labels: np.ndarray
    depth: np.ndarray


def draw_scene(size: int, seed: int, index: int) -> Scene:
    """Draw a room with three to six shapes.

    The same arguments give the same bytes. The camera looks along z with a field of view of 90
    degrees. A point (x, y, z) is seen at (x / z, y / z), with y pointing down, so near shapes are
    large and their textures coarse; light falls off with the depth. Plates stand parallel to the
    image. Each class has an approximate hue.

    Args:
        size: S, height and width in pixels.
        seed: Seed of the whole set.
        index: Number of the image.
    """
    rng = np.random.default_rng([seed, index])
    # Rays (u, v, 1) through the centers of the pixels.
    v, u = (np.mgrid[:size, :size] + 0.5) * 2 / size - 1
    depth = np.full((size, size), WALL_DEPTH)
    labels = np.zeros((size, size), np.uint8)
    # A floor one meter below the camera: y = v z = 1.
    floor = v * WALL_DEPTH > 1
    depth[floor] = 1 / v[floor]
    labels[floor] = 1
    image = np.zeros((size, size, 3))
    for label in (0, 1):
        across = v * depth if label == 0 else depth
        paint(image, labels == label, label, u * depth, across, rng)
    for _ in range(rng.integers(3, 7)):
        kind = int(rng.integers(len(SHAPES)))
        z = rng.uniform(NEAREST, WALL_DEPTH - 1)
        center = np.array([rng.uniform(-0.8, 0.8) * z, rng.uniform(-0.5, 0.3) * z, z])
        surface = surface_depth(SHAPES[kind], u, v, center, rng.uniform(0.3, 1.0), rng)
        seen = surface < depth
        depth[seen] = surface[seen]
        labels[seen] = 2 + kind
        paint(image, seen, 2 + kind, u * depth - center[0], v * depth - center[1], rng)
    light = np.exp(-depth / 8)[..., None]
    image = image * light * 1.6 + rng.normal(0, 0.02, image.shape)
    image = (255 * image).clip(0, 255).astype(np.uint8)
    return Scene(image, labels, depth.astype(np.float32))


def surface_depth(
    kind: str,
    u: np.ndarray,
    v: np.ndarray,
    center: np.ndarray,
    radius: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Depth at which each ray meets a shape; infinite where it misses."""
    if kind == 'sphere':
        # |t r - c|^2 = R^2 for the ray r = (u, v, 1); the nearer root is the depth, since r_z = 1.
        a = u**2 + v**2 + 1
        b = u * center[0] + v * center[1] + center[2]
        root = b**2 - a * (center @ center - radius**2)
        return np.where(root > 0, (b - np.sqrt(root.clip(0))) / a, np.inf)
    # On the plate, in units of its radius, turned.
    x, y = ((ray * center[2] - c) / radius for ray, c in zip((u, v), center))
    angle = rng.uniform(0, 2 * np.pi)
    x, y = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if kind == 'disc':
        inside = x**2 + y**2 < 1
    elif kind == 'square':
        inside = np.maximum(abs(x), abs(y)) < 0.85
    else:
        inside = (y > -0.6) & (y < 1 - np.sqrt(3) * abs(x))
    return np.where(inside, center[2], np.inf)


def paint(
    image: np.ndarray,
    where: np.ndarray,
    label: int,
    x: np.ndarray,
    y: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Paint a pattern of two tones, in place.

    Args:
        image: (S, S, 3) in [0, 1].
        where: Mask (S, S).
        label: Class, which gives the color.
        x: First coordinate (S, S) on the surface, in meters.
        y: The second one.
        rng: Source of color, direction and period.
    """
    color = np.array(PALETTE[label][::-1]) / 255 + rng.normal(0, 0.08, 3)
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.15, 0.5)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    pattern = np.sin(2 * np.pi * along / period)
    if rng.random() < 0.5:  # a chessboard instead of stripes
        pattern = pattern * np.sin(2 * np.pi * across / period)
    tones = 1 + 0.25 * np.sign(pattern)[..., None]
    image[where] = (color * tones)[where]


@DATASETS.register_module()
class DrawnShapes(BaseDataset):
    """Drawn rooms with classes and depths: see :func:`draw_scene`. Nothing is read from disk.

    The pipeline starts with :class:`LoadDrawnShapes`.

    Args:
        count: Number of images.
        size: Their height and width in pixels.
        seed: Seed of the set; a test set has another one.
        pipeline: Transforms.
        kwargs: As for MMEngine's ``BaseDataset``.
    """

    METAINFO = dict(classes=CLASSES, palette=PALETTE)

    def __init__(
        self, count: int, size: int = 64, seed: int = 0, pipeline: list | None = None, **kwargs: Any
    ) -> None:
        self.count, self.size, self.seed = count, size, seed
        super().__init__(pipeline=pipeline or [], **kwargs)

    def load_data_list(self) -> list[dict]:
        """What :class:`LoadDrawnShapes` draws."""
        return [dict(size=self.size, seed=self.seed, index=index) for index in range(self.count)]

    @staticmethod
    def classes_of(info: dict) -> frozenset[int]:
        """The classes that an image shows, for ``labels``."""
        labels = draw_scene(info['size'], info['seed'], info['index']).labels
        return frozenset(np.unique(labels).tolist())


@TRANSFORMS.register_module()
class LoadDrawnShapes(BaseTransform):
    """Draw the image, its label map and its depth map."""

    def transform(self, results: dict) -> dict:
        """Add what loading an image, its labels and its depths adds."""
        scene = draw_scene(results['size'], results['seed'], results['index'])
        name = f'drawn-{results["seed"]}-{results["size"]}-{results["index"]}'
        return dict(
            results,
            img=scene.image,
            img_path=name,
            img_shape=scene.image.shape[:2],
            ori_shape=scene.image.shape[:2],
            gt_seg_map=scene.labels,
            gt_depth_map=scene.depth,
            seg_fields=['gt_seg_map', 'gt_depth_map'],
        )
