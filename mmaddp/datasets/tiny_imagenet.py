"""Tiny-ImageNet in the layout of its archive: 200 classes of ImageNet at 64 x 64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmpretrain.datasets import BaseDataset

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError, check_choice

SPLITS = ('train', 'val')


@DATASETS.register_module()
class TinyImageNet(BaseDataset):
    """Tiny-ImageNet in the layout of its archive.

    The layout is ``wnids.txt``, ``train/<wnid>/images/*.JPEG`` and ``val/images/*.JPEG`` with
    ``val/val_annotations.txt``. Labels are positions among the sorted wnids, as in the code of
    DDAE's authors. ``test/`` has no published labels.

    Args:
        data_root: The folder of ``wnids.txt``.
        split: 'train' (100,000 images) or 'val' (10,000).
        **kwargs: As for :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        UserError: An unknown ``split``, or a class without training images.
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs: Any) -> None:
        check_choice('split', split, SPLITS)
        self.split = split
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """An entry for each image: 'img_path' and 'gt_label'."""
        root = Path(self.data_root)
        # The file's own order is another; DDAE's authors sort, as ImageFolder does.
        wnids = sorted((root / 'wnids.txt').read_text().split())
        self._metainfo['classes'] = tuple(wnids)
        images = (train_images if self.split == 'train' else val_images)(root, wnids)
        return [{'img_path': str(path), 'gt_label': label} for path, label in images]


def train_images(root: Path, wnids: list[str]) -> Iterator[tuple[Path, int]]:
    """Paths and labels, class by class."""
    for label, wnid in enumerate(wnids):
        folder = root / 'train' / wnid / 'images'
        paths = sorted(folder.glob('*.JPEG'))
        if not paths:
            raise UserError(
                f'{folder}: no *.JPEG of the class {wnid} of wnids.txt: set TINY_IMAGENET_DIR to '
                'the folder that tiny-imagenet-200.zip unpacks to'
            )
        for path in paths:
            yield path, label


def val_images(root: Path, wnids: list[str]) -> Iterator[tuple[Path, int]]:
    """Paths and labels in the order of the annotations."""
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    for line in (root / 'val/val_annotations.txt').read_text().splitlines():
        name, wnid = line.split('\t')[:2]
        yield root / 'val/images' / name, label_of[wnid]
