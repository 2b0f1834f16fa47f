"""Nested subsets of a labeled data set: 1 % of the images lies within 5 %, and that within 10 %."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from mmengine.fileio import get
from PIL import Image

from mmaddp.utils import UserError

from .seg_maps import labels_in

Classes = Sequence[frozenset[int]]


def subset_indices(classes: Classes, fraction: float, seed: int) -> list[int]:
    """The images of a fraction, ``round(fraction * len(classes))`` of them, ascending.

    All fractions of one seed are cut from one order, so smaller ones lie within larger ones.

    Args:
        classes: The classes that each image shows.
        fraction: In (0, 1].
        seed: Another seed gives other images.

    Raises:
        UserError: So few images cannot show every class.
    """
    count = round(fraction * len(classes))
    first, order = image_order(classes, seed)
    needed = max(first, 1)
    if count < needed:
        least = math.ceil(1e4 * needed / len(classes)) / 1e4
        raise UserError(
            f'labels={fraction} keeps {count} of {len(classes)} images, too few to show all '
            f'{len(frozenset().union(*classes))} classes: give labels={least} or more'
        )
    return sorted(order[:count])


def image_order(classes: Classes, seed: int) -> tuple[int, list[int]]:
    """Sampling order of the images, and how many of its first images show every class."""
    shuffled = np.random.default_rng(seed).permutation(len(classes)).tolist()
    if all(len(own) == 1 for own in classes):
        return stratify(classes, shuffled)
    first = list(cover(classes, shuffled))
    taken = set(first)
    return len(first), first + [image for image in shuffled if image not in taken]


def stratify(classes: Classes, shuffled: list[int]) -> tuple[int, list[int]]:
    """Order of images of one class each that holds all classes in proportion at every length."""
    totals, seen, share = Counter(min(own) for own in classes), Counter(), {}
    for image in shuffled:
        label = min(classes[image])
        # The share of its class that comes before this image; 0 for the first of each.
        share[image] = seen[label] / totals[label]
        seen[label] += 1
    return len(totals), sorted(shuffled, key=share.__getitem__)


def cover(classes: Classes, shuffled: list[int]) -> Iterator[int]:
    """Few images that show every class: for the rarest missing class the one with most others."""
    totals = Counter(label for own in classes for label in own)
    missing = set(totals)
    while missing:
        rarest = min(missing, key=lambda label: (totals[label], label))
        carriers = (image for image in shuffled if rarest in classes[image])
        best = max(carriers, key=lambda image: len(classes[image] & missing))
        missing -= classes[best]
        yield best


def classes_of_images(dataset: Any) -> list[frozenset[int]]:
    """The classes that each image shows, by the annotations of any library of OpenMMLab.

    Depth maps have no classes. Maps of segmentation are read, which takes a while.

    Raises:
        UserError: The images have no annotations.
    """
    with ThreadPoolExecutor() as pool:
        infos = map(dataset.get_data_info, range(len(dataset)))
        return list(pool.map(lambda info: classes_of(info, dataset), infos))


def classes_of(info: dict, dataset: Any) -> frozenset[int]:
    """The classes that an image shows; ``info`` is its entry in the data set.

    A data set of another kind may have a method ``classes_of(info)``, which is called instead.
    """
    if hasattr(dataset, 'classes_of'):
        return dataset.classes_of(info)
    if 'instances' in info:
        used = (one for one in info['instances'] if not one.get('ignore_flag'))
        return frozenset(int(one['bbox_label']) for one in used)
    if 'gt_label' in info:
        return frozenset(np.atleast_1d(info['gt_label']).tolist())
    if info.get('seg_map_path'):
        stored = get(info['seg_map_path'], backend_args=dataset.backend_args)
        with Image.open(io.BytesIO(stored)) as image:
            return frozenset(labels_in(np.asarray(image), dataset))
    if 'depth_map_path' in info:
        return frozenset()
    raise UserError(
        f'labels: {type(dataset).__name__} has no labels to take a part of: remove the option'
    )
