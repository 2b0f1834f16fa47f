"""Images in folders, which may be classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from mmpretrain.datasets import CustomDataset

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError, shorten

from .image_files import IMAGE_SUFFIXES, list_files, report_unused


@DATASETS.register_module()
class ImageFolder(CustomDataset):
    """MMPretrain's :class:`CustomDataset`, with one numbering of classes for all splits.

    Folders of images are classes, numbered by their sorted names. A split that names the training
    in ``classes_from`` takes the numbers of its classes, also where it lacks some of them. Hidden
    files, hidden folders and folders without images are passed over.

    Args:
        data_root: The folder of all splits.
        data_prefix: The split's folder in ``data_root``.
        classes_from: The training's folder in ``data_root``; None for the training itself.
        extensions: How names of images end.
        **kwargs: As for :class:`CustomDataset`. Names in ``metainfo.classes`` or ``classes`` are
            numbered in their order.

    Raises:
        UserError: A folder of images is not one of the classes.
    """

    def __init__(
        self,
        data_root: str = '',
        data_prefix: str | dict = '',
        classes_from: str | None = None,
        extensions: Sequence[str] = IMAGE_SUFFIXES,
        **kwargs: Any,
    ) -> None:
        self.classes_from = classes_from
        super().__init__(
            data_root=data_root, data_prefix=data_prefix, extensions=extensions, **kwargs
        )

    def _find_samples(self) -> list:
        """Paths in the split's folder, with labels or without."""
        files = list_files(self.img_prefix)
        images = [path for path in files if self.is_valid_file(path)]
        if self.with_label:
            # An image beside the class folders has no class.
            images = [path for path in images if '/' in path]
        if not images:
            inside = 'the folders of ' if self.with_label else ''
            known = ', '.join(sorted(self.extensions))
            raise RuntimeError(f'no image in {inside}{self.img_prefix} (endings: {known})')
        others = sorted(set(files) - set(images))
        report_unused(self.img_prefix, others, len(images), 'outside the class folders')
        return self._label(images) if self.with_label else images

    def _label(self, images: list[str]) -> list[tuple[str, int]]:
        # Folders without images give no class.
        names = sorted({_class_of(path) for path in images})
        classes, source = self._classes(names)
        unknown = [name for name in names if name not in classes]
        if unknown:
            raise UserError(
                f'{self.img_prefix}: the folders {shorten(unknown)} are not classes of {source}, '
                f'which are {shorten(classes)}: rename or remove them'
            )
        self._metainfo['classes'] = tuple(classes)
        self.folder_to_idx = {name: label for label, name in enumerate(classes)}
        # MMPretrain's order: by class, then by path.
        images = sorted(images, key=lambda path: (_class_of(path), path))
        return [(path, self.folder_to_idx[_class_of(path)]) for path in images]

    def _classes(self, found: list[str]) -> tuple[list[str], str]:
        """The names of the classes in the order of their labels, and what says so."""
        if self.CLASSES is not None:
            return list(self.CLASSES), 'metainfo.classes'
        if self.classes_from is None:
            return found, self.img_prefix
        training = os.path.join(self.data_root, self.classes_from)
        try:
            paths = filter(self.is_valid_file, list_files(training))
            classes = sorted({_class_of(path) for path in paths if '/' in path})
        except OSError:
            classes = []
        if not classes:
            raise UserError(
                f'{training}: has no folders of images, and classes are numbered by those of the '
                'training: correct classes_from, or list the classes in metainfo.classes'
            )
        return classes, training


def _class_of(path: str) -> str:
    return path.split('/', 1)[0]
