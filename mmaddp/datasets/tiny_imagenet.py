"""Tiny-ImageNet as it is unpacked: 200 classes of ImageNet at 64 x 64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmpretrain.datasets import BaseDataset

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError

REMEDY = 'name the folder that tiny-imagenet-200.zip unpacks to by TINY_IMAGENET_DIR'
SPLITS = ('train', 'val')


@DATASETS.register_module()
class TinyImageNet(BaseDataset):
    """Images of Tiny-ImageNet with labels, in the layout of its own archive.

    That is ``wnids.txt``, ``train/<wnid>/images/*.JPEG`` and ``val/images/*.JPEG`` with
    ``val/val_annotations.txt``. The place of a wnid among all sorted is its label, in both splits,
    as DDAE's authors have it. The labels of ``test/`` were never published.

    Args:
        data_root: The folder that holds ``wnids.txt``.
        split: 'train', 100,000 images, or 'val', 10,000.
        **kwargs: As for :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        UserError: ``split`` is neither, or a file of the archive is missing or does not fit the
            others; the message names it.
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs: Any) -> None:
        if split not in SPLITS:
            raise UserError(f"split='{split}' of TinyImageNet: must be one of {', '.join(SPLITS)}")
        self.split = split
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """An entry for each image: 'img_path' and 'gt_label'."""
        root = Path(self.data_root)
        wnids = sorted(lines_of(root / 'wnids.txt'))
        self._metainfo['classes'] = tuple(wnids)
        images = (train_images if self.split == 'train' else val_images)(root, wnids)
        return [{'img_path': str(path), 'gt_label': label} for path, label in images]


def lines_of(path: Path) -> list[str]:
    """The lines of a text file that are not empty.

    Raises:
        UserError: There is no such file, or nothing in it.
    """
    lines = path.read_text().split('\n') if path.is_file() else []
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise UserError(f'{path}: missing or empty: {REMEDY}')
    return lines


def train_images(root: Path, wnids: list[str]) -> Iterator[tuple[Path, int]]:
    """Paths and labels, class by class.

    Raises:
        UserError: A class has no images.
    """
    for label, wnid in enumerate(wnids):
        folder = root / 'train' / wnid / 'images'
        paths = sorted(folder.glob('*.JPEG'))
        if not paths:
            raise UserError(f'{folder}: no *.JPEG of the class {wnid} of wnids.txt: {REMEDY}')
        for path in paths:
            yield path, label


def val_images(root: Path, wnids: list[str]) -> Iterator[tuple[Path, int]]:
    """Paths and labels in the order of the annotations.

    Raises:
        UserError: An annotation names a class or an image that does not exist.
    """
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    annotations, folder = root / 'val/val_annotations.txt', root / 'val/images'
    present = {path.name for path in folder.glob('*.JPEG')}
    for number, line in enumerate(lines_of(annotations), start=1):
        name, wnid = [*line.split('\t'), ''][:2]
        if wnid not in label_of or name not in present:
            unknown = f'{wnid!r} is not in wnids.txt' if name in present else f'{folder} lacks it'
            raise UserError(f'{annotations}: line {number}, {name}: {unknown}: {REMEDY}')
        yield folder / name, label_of[wnid]
