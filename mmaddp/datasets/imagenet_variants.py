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
from mmaddp.utils import UserError

# The lists of classes come with timm (since 0.9.0), in the order of the sorted wnids.
CLASS_LISTS = {
    'imagenet-a': 'imagenet_a_synsets.txt',
    'imagenet-r': 'imagenet_r_synsets.txt',
    'imagenet-sketch': 'imagenet_synsets.txt',
    'imagenet-c': 'imagenet_synsets.txt',
}
WNID = re.compile(r'n\d{8}')


@functools.cache
def _read_class_list(name: str) -> tuple[str, ...]:
    # Reading the file beside timm's code spares the import of timm and all its models.
    timm = find_spec('timm')
    path = Path(timm.origin).parent / 'data' / '_info' / name if timm else None
    if path is None or not path.is_file():
        raise UserError(f'timm has no list {name} of ImageNet classes: pip install "timm>=0.9"')
    return tuple(path.read_text().split())


def imagenet_wnids() -> tuple[str, ...]:
    """The 1,000 wnids of ImageNet-1k, sorted: the place of a wnid is its class index."""
    return _read_class_list('imagenet_synsets.txt')


def variant_wnids(variant: str) -> tuple[str, ...]:
    """The sorted wnids of the classes that a variant has: 200 in -A and -R, else all 1,000.

    Args:
        variant: 'imagenet-a', 'imagenet-r', 'imagenet-sketch' or 'imagenet-c'.

    Raises:
        UserError: The variant is unknown, or timm is missing or older than 0.9.
    """
    if variant not in CLASS_LISTS:
        raise UserError(f'ImageNet variant {variant!r} is unknown: choose from {list(CLASS_LISTS)}')
    return _read_class_list(CLASS_LISTS[variant])


def class_folders(folder: str | os.PathLike, variant: str) -> list[str]:
    """Names of the wnid folders in ``folder``, sorted.

    Raises:
        UserError: There is none, or one is no class of the variant.
    """
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    wnids = [name for name in names if WNID.fullmatch(name)]
    foreign = sorted(set(wnids) - set(variant_wnids(variant)))
    if not wnids:
        raise UserError(f'{folder}: no class folders (named n01440764 and so on) for {variant}')
    if foreign:
        raise UserError(
            f'{folder}: {len(foreign)} class folders are not of {variant} (the first: '
            f'{foreign[0]}); is another data set in this folder?'
        )
    return wnids


@DATASETS.register_module()
class ImageNetVariant(ImageNet):
    """A test set whose folders are wnids, for a classifier of ImageNet-1k's 1,000 classes.

    Labels are indices into the 1,000 classes also where the set has only 200 of them. The set's
    own classes are in ``metainfo['class_indices']``, where
    :class:`mmaddp.evaluation.SubsetAccuracy` looks for them.

    Args:
        variant: 'imagenet-a', 'imagenet-r', 'imagenet-sketch' or 'imagenet-c'.
        metainfo: Further meta information.
        **kwargs: As for :class:`mmpretrain.datasets.ImageNet`; ``data_root`` (and ``data_prefix``)
            name the folder of class folders, for -C that of one corruption and severity.

    Raises:
        UserError: The folder has no images, or classes that the variant lacks.
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
            raise UserError(f'{self.img_prefix}: the class folders hold no images')
        return samples
