"""A small instance-segmentation data set in COCO format: textured shapes over textures.

The same arguments give the same bytes. Shapes occlude each other, and masks cover the visible part.
Each class has an approximate hue. Distractors use the same hues, so only their outlines
distinguish them from instances.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from mmaddp.utils import UserError, check_range

SPLITS = ('train', 'val')
# A shape is not drawn if it would leave less than this of any instance visible.
MIN_VISIBLE_FRACTION = 0.35
MIN_VISIBLE_PIXELS = 80


@dataclass(frozen=True)
class Instance:
    """A shape in an image.

    Attributes:
        label: Index of its class.
        visible: Mask (H, W) of its visible part.
        area: Its pixels before occlusion.
    """

    label: int
    visible: np.ndarray
    area: int

    def behind(self, mask: np.ndarray) -> Instance:
        """The instance, occluded by ``mask`` (H, W)."""
        return replace(self, visible=self.visible & ~mask)

    @property
    def recognizable(self) -> bool:
        """Whether enough of it is visible."""
        return self.visible.sum() >= max(MIN_VISIBLE_PIXELS, MIN_VISIBLE_FRACTION * self.area)


def regular_polygon(sides: int, phase: float = 0.0) -> np.ndarray:
    """Corners (sides, 2) of a regular polygon in the unit circle."""
    angles = phase + 2 * np.pi * np.arange(sides) / sides
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def star(points: int, inner_radius: float) -> np.ndarray:
    """Corners (2 * points, 2) of a star in the unit circle."""
    radii = np.where(np.arange(2 * points) % 2, inner_radius, 1.0)
    return regular_polygon(2 * points) * radii[:, None]


def cross(half_width: float) -> np.ndarray:
    """Corners (12, 2) of a plus sign in the square of -0.9 to 0.9."""
    w, r = half_width, 0.9
    quarter = np.array([[w, w], [w, r], [-w, r]])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])


CLASSES = {
    'circle': regular_polygon(64),
    'triangle': regular_polygon(3),
    'square': regular_polygon(4),
    'star': star(5, 0.42),
    'cross': cross(0.28),
}
# They share hues and patterns with the classes, but no outlines.
DISTRACTORS = (
    np.array([[-1.0, -0.09], [1.0, -0.09], [1.0, 0.09], [-1.0, 0.09]]),
    np.stack([np.cos(np.linspace(0, np.pi, 32)), np.sin(np.linspace(0, np.pi, 32))], axis=1),
    regular_polygon(64) * np.array([1.0, 0.35]),
)


def place(outline: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Rotate, slightly stretch, scale and shift an outline, and fill it.

    Args:
        outline: Corners (N, 2) in the unit circle.
        size: Width and height of the image.
        rng: Source of the random placement.

    Returns:
        Mask (size, size) of type bool. The shape may extend beyond the border.
    """
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    radius = size * np.exp(rng.uniform(np.log(0.1), np.log(0.25)))
    center = rng.uniform(0.08 * size, 0.92 * size, 2)
    corners = (outline * rng.uniform(0.88, 1.0, 2)) @ turn * radius + center
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask.astype(bool)


def noise(size: int, cell: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (size, size) in [0, 1], changing over about ``cell`` pixels."""
    coarse = rng.random((size // cell + 2, size // cell + 2)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)


def stripes(size: int, rng: np.random.Generator) -> np.ndarray:
    """Stripes (size, size) of 0 and 1 in a random direction."""
    y, x = np.mgrid[:size, :size]
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 18)
    return ((x * np.cos(angle) + y * np.sin(angle)) % period < period / 2).astype(np.float32)


def checks(size: int, rng: np.random.Generator) -> np.ndarray:
    """Two crossed stripes: a slanted chessboard (size, size) of 0 and 1."""
    return np.abs(stripes(size, rng) - stripes(size, rng))


def texture(size: int, rng: np.random.Generator, hue: float, saturation: float) -> np.ndarray:
    """An image (size, size, 3) in [0, 255], BGR: two tones of a hue in a random pattern.

    Args:
        size: Width and height in pixels.
        rng: Source of the pattern and the tones.
        hue: In degrees.
        saturation: In [0, 1].
    """
    patterns: tuple[Callable[[], np.ndarray], ...] = (
        lambda: noise(size, int(rng.integers(4, 40)), rng),
        lambda: stripes(size, rng),
        lambda: checks(size, rng),
    )
    pattern = patterns[rng.integers(len(patterns))]()[..., None]
    values = rng.uniform([0.35, 0.6], [0.7, 1.0])
    tones = np.array([[[hue % 360, saturation, value] for value in values]], np.float32)
    dark, bright = 255.0 * cv2.cvtColor(tones, cv2.COLOR_HSV2BGR)[0]
    return dark + pattern * (bright - dark)


def shape_texture(size: int, label: int, rng: np.random.Generator) -> np.ndarray:
    """A saturated texture around the hue of the class; a distractor (-1) gets any class's hue."""
    index = label if label >= 0 else rng.integers(len(CLASSES))
    hue = 360 * index / len(CLASSES) + rng.normal(0, 15)
    return texture(size, rng, hue, rng.uniform(0.6, 1.0))


def draw_scene(size: int, rng: np.random.Generator) -> tuple[np.ndarray, list[Instance]]:
    """Draw one image (size, size, 3), uint8 BGR, with at least one instance."""
    labels = [*rng.integers(len(CLASSES), size=rng.integers(2, 6)), *[-1] * rng.integers(1, 4)]
    rng.shuffle(labels)
    image = texture(size, rng, rng.uniform(0, 360), rng.uniform(0, 0.35))
    instances: list[Instance] = []
    for label in labels:
        mask, paint = place(_outline(label, rng), size, rng), shape_texture(size, label, rng)
        remaining = [instance.behind(mask) for instance in instances]
        if label >= 0:
            remaining.append(Instance(int(label), mask, int(mask.sum())))
        if all(instance.recognizable for instance in remaining):
            image[mask] = paint[mask]
            instances = remaining
    return (photograph(image, rng), instances) if instances else draw_scene(size, rng)


def _outline(label: int, rng: np.random.Generator) -> np.ndarray:
    if label < 0:
        return DISTRACTORS[rng.integers(len(DISTRACTORS))]
    return list(CLASSES.values())[label]


def photograph(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light an image unevenly, blur it and add noise: (H, W, 3) float to uint8."""
    size = len(image)
    light = 0.7 + 0.6 * noise(size, size // 2, rng)[..., None]
    blurred = cv2.GaussianBlur(image * light, (0, 0), rng.uniform(0.5, 1.2))
    grainy = blurred + rng.normal(0, rng.uniform(3, 10), image.shape)
    return grainy.clip(0, 255).astype(np.uint8)


def annotation(instance: Instance) -> dict:
    """COCO's record of an instance; box and area cover the visible part."""
    rle = coco_mask.encode(np.asfortranarray(instance.visible.astype(np.uint8)))
    return {
        'category_id': instance.label + 1,
        'segmentation': {'size': rle['size'], 'counts': rle['counts'].decode('ascii')},
        'bbox': coco_mask.toBbox(rle).tolist(),
        'area': int(coco_mask.area(rle)),
        'iscrowd': 0,
    }


def draw_split(folder: Path, split: str, count: int, size: int, seed: int) -> None:
    """Draw the images of a split and write its annotations.

    Args:
        folder: Gets ``SPLIT/000001.jpg`` and so on, and ``annotations/instances_SPLIT.json``.
        split: 'train' or 'val'.
        count: Number of images.
        size: Their width and height in pixels.
        seed: Seed of the whole set.
    """
    images, annotations = [], []
    (folder / split).mkdir(parents=True)
    for image_id in range(1, count + 1):
        # One generator per image makes it independent of the number of images.
        rng = np.random.default_rng([seed, SPLITS.index(split), image_id])
        image, instances = draw_scene(size, rng)
        name = f'{image_id:06}.jpg'
        cv2.imwrite(str(folder / split / name), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        images.append({'id': image_id, 'file_name': name, 'width': size, 'height': size})
        annotations += [{'image_id': image_id, **annotation(one)} for one in instances]
    for annotation_id, record in enumerate(annotations, start=1):
        record['id'] = annotation_id
    categories = [{'id': i, 'name': name} for i, name in enumerate(CLASSES, start=1)]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    path = folder / 'annotations' / f'instances_{split}.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def draw_shapes(
    folder: str | Path, num_train: int = 200, num_val: int = 50, size: int = 256, seed: int = 0
) -> Path:
    """Draw both splits. The folder is created when both are complete.

    Args:
        folder: Gets ``train``, ``val`` and ``annotations``.
        num_train: Number of training images.
        num_val: Number of validation images.
        size: Width and height in pixels.
        seed: Seed of the whole set.

    Returns:
        The folder.

    Raises:
        UserError: The folder exists already, or a number is out of range.
    """
    check_range('num_train', num_train, 1)
    check_range('num_val', num_val, 1)
    check_range('size', size, 64)  # smaller shapes cannot be told apart
    folder = Path(folder)
    if folder.exists():
        raise UserError(f'{folder}: already exists; remove it or choose another folder')
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f'.{folder.name}.'))
    try:
        draw_split(temporary, 'train', num_train, size, seed)
        draw_split(temporary, 'val', num_val, size, seed)
        temporary.chmod(0o755)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
