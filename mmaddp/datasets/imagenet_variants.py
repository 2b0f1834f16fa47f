"""ImageNet-A, -R, -Sketch and -C: folders of wnids, labeled with ImageNet-1k's 1,000 indices."""

from __future__ import annotations

import functools
import os
import re
from importlib.util import find_spec
from pathlib import Path

from mmpretrain.datasets import ImageNet
from mmpretrain.datasets.custom import get_samples

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError, check_choice

# timm (0.9.0 or later) ships the lists of classes, in the order of the sorted wnids.
CLASS_LISTS = {
    'imagenet-a': 'imagenet_a_synsets.txt',
    'imagenet-r': 'imagenet_r_synsets.txt',
    'imagenet-sketch': 'imagenet_synsets.txt',
    'imagenet-c': 'imagenet_synsets.txt',
}
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


def class_folders(folder: str | os.PathLike, variant: str) -> list[str]:
    """Names of the wnid folders in ``folder``, sorted.

    Raises:
        UserError: One is not a class of the variant.
    """
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    wnids = [name for name in names if WNID.fullmatch(name)]
    foreign = sorted(set(wnids) - set(variant_wnids(variant)))
    if foreign:
        raise UserError(
            f'{folder}: {len(foreign)} class folders are not of {variant} (the first: '
            f'{foreign[0]}); is another data set in this folder?'
        )
    return wnids


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
        folders = class_folders(self.img_prefix, self.variant)
        self.folder_to_idx = {wnid: self.wnid_to_index[wnid] for wnid in folders}
        samples, _ = get_samples(self.img_prefix, self.folder_to_idx, self.is_valid_file)
        if not samples:
            raise UserError(
                f'{self.img_prefix}: no image in class folders (n01440764 and so on) of '
                f'{self.variant}'
            )
        return samples
