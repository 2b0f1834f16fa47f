"""ImageNet-A, -R, -Sketch and -C: folders of wnids, labeled with ImageNet-1k's 1,000 indices."""

from __future__ import annotations

import functools
import os
import re
from importlib.util import find_spec
from pathlib import Path

from mmpretrain.datasets import ImageNet

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError, check_choice

from .image_files import is_image, list_files

# timm (0.9.0 or later) ships the lists of classes, in the order of the sorted wnids.
CLASS_LISTS = {
    'imagenet-a': 'imagenet_a_synsets.txt',
    'imagenet-r': 'imagenet_r_synsets.txt',
    'imagenet-sketch': 'imagenet_synsets.txt',
    'imagenet-c': 'imagenet_synsets.txt',
}
# The benchmark's 15 test corruptions; its four for validation are not among them.
CORRUPTIONS = (
    *('gaussian_noise', 'shot_noise', 'impulse_noise'),
    *('defocus_blur', 'glass_blur', 'motion_blur', 'zoom_blur'),
    *('snow', 'frost', 'fog', 'brightness'),
    *('contrast', 'elastic_transform', 'pixelate', 'jpeg_compression'),
)
SEVERITIES = (1, 2, 3, 4, 5)
WNID = re.compile(r'n\d{8}')


@functools.cache
def _read_class_list(name: str) -> tuple[str, ...]:
    # Read the file itself: importing timm would load all its models.
    path = Path(find_spec('timm').origin).parent / 'data' / '_info' / name
    return tuple(path.read_text().split())


def imagenet_wnids() -> tuple[str, ...]:
    """The 1,000 wnids of ImageNet-1k, sorted: a wnid's position is its class index."""
    return _read_class_list('imagenet_synsets.txt')


def variant_wnids(variant: str) -> tuple[str, ...]:
    """The sorted wnids of a variant's classes: 200 in -A and -R, otherwise all 1,000.

    Args:
        variant: 'imagenet-a', 'imagenet-r', 'imagenet-sketch' or 'imagenet-c'.

    Raises:
        UserError: The variant is unknown.
    """
    check_choice('variant', variant, CLASS_LISTS)
    return _read_class_list(CLASS_LISTS[variant])


def class_images(folder: str | os.PathLike, variant: str) -> list[tuple[str, str]]:
    """The images in class folders, in order, as pairs of a wnid and a path.

    Raises:
        UserError: There is none, or one is of a class that the variant lacks.
    """
    paths = (path for path in list_files(folder) if is_image(path) and '/' in path)
    found = [(path.split('/', 1)[0], os.path.join(folder, path)) for path in paths]
    found = [(wnid, path) for wnid, path in found if WNID.fullmatch(wnid)]
    foreign = sorted({wnid for wnid, _ in found} - set(variant_wnids(variant)))
    if foreign or not found:
        reason = f'{foreign[0]} is not' if foreign else 'no image in class folders (n01440764 …)'
        raise UserError(f'{folder}: {reason} of {variant}: check the folder')
    return found


@DATASETS.register_module()
class ImageNetVariant(ImageNet):
    """A test set whose folders are wnids, for a classifier of ImageNet-1k's 1,000 classes.

    Labels are indices into the 1,000 classes, even where the set has only 200 of them.
    ``metainfo['class_indices']`` holds the set's own classes for
    :class:`mmaddp.evaluation.SubsetAccuracy`.

    Args:
        variant: 'imagenet-a', 'imagenet-r', 'imagenet-sketch' or 'imagenet-c'.
        metainfo: Further meta information.
        **kwargs: As for :class:`mmpretrain.datasets.ImageNet`; ``data_root`` (and ``data_prefix``)
            name the folder of class folders, for -C that of one corruption and severity.

    Raises:
        UserError: The folder has no images, or classes of another data set.
    """

    def __init__(self, variant: str, metainfo: dict | None = None, **kwargs) -> None:
        self.variant = variant
        index = {wnid: i for i, wnid in enumerate(imagenet_wnids())}
        self.wnid_to_index = {wnid: index[wnid] for wnid in variant_wnids(variant)}
        metainfo = {'class_indices': list(self.wnid_to_index.values()), **(metainfo or {})}
        super().__init__(metainfo=metainfo, **kwargs)

    def _find_samples(self) -> list[tuple[str, int]]:
        found = class_images(self.img_prefix, self.variant)
        self.folder_to_idx = {wnid: self.wnid_to_index[wnid] for wnid, _ in found}
        return [(path, self.wnid_to_index[wnid]) for wnid, path in found]
