"""Images in folders, which may be classes."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.fileio import BaseStorageBackend, LocalBackend, get_file_backend
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset

from mmaddp.registry import DATASETS
from mmaddp.utils import IMAGE_SUFFIXES, UserError, shorten

# What archivers, notebooks and network disks leave behind.
_FOREIGN_FOLDERS = {'__MACOSX', '__pycache__', '@eaDir', '$RECYCLE.BIN', 'lost+found'}


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
        files = list(_list_files(self.img_prefix))
        images = [path for path in files if self.is_valid_file(path)]
        if self.with_label:
            # An image beside the class folders has no class.
            images = [path for path in images if '/' in path]
        if not images:
            inside = 'the folders of ' if self.with_label else ''
            known = ', '.join(sorted(self.extensions))
            raise RuntimeError(f'no image in {inside}{self.img_prefix} (endings: {known})')
        self._report_unused(files, len(images))
        return self._label(images) if self.with_label else images

    def _label(self, images: list[str]) -> list[tuple[str, int]]:
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
            paths = filter(self.is_valid_file, _list_files(training))
            classes = sorted({_class_of(path) for path in paths if '/' in path})
        except OSError:
            classes = []
        if not classes:
            raise UserError(
                f'{training}: has no folders of images, and classes are numbered by those of the '
                'training: correct classes_from, or list the classes in metainfo.classes'
            )
        return classes, training

    def _report_unused(self, files: list[str], used: int) -> None:
        unused = len(files) - used
        if not unused:
            return
        suffixes = Counter(
            os.path.splitext(path)[1].lower() or 'no ending'
            for path in files
            if not self.is_valid_file(path)
        )
        reasons = [f'{count} with {suffix}' for suffix, count in suffixes.most_common()]
        outside = unused - sum(suffixes.values())
        reasons += [f'{outside} outside the class folders'] if outside else []
        print_log(
            f'{self.img_prefix}: {used} images; {unused} other files are left out: '
            f'{", ".join(reasons)}',
            'current',
            logging.WARNING,
        )


def _class_of(path: str) -> str:
    return path.split('/', 1)[0]


def _list_files(root: str) -> Iterator[str]:
    """Files below a folder by their paths from there, in order; hidden ones are passed over."""
    backend = get_file_backend(root, enable_singleton=True)
    paths = _walk(root) if isinstance(backend, LocalBackend) else _list_remote(root, backend)
    return iter(sorted(path for path in paths if not any(map(_is_foreign, path.split('/')))))


def _list_remote(root: str, backend: BaseStorageBackend) -> Iterator[str]:
    return backend.list_dir_or_file(root, list_dir=False, list_file=True, recursive=True)


def _walk(root: str) -> Iterator[str]:
    """Files below a local folder. A link to a folder above itself is not followed."""
    for folder, folders, files in os.walk(root, onerror=_fail, followlinks=True):
        folders[:] = [name for name in folders if not _leads_up(os.path.join(folder, name))]
        prefix = os.path.relpath(folder, root).replace(os.sep, '/')
        yield from (name if prefix == '.' else f'{prefix}/{name}' for name in files)


def _leads_up(folder: str) -> bool:
    if _is_foreign(os.path.basename(folder)):
        return True
    target = os.path.realpath(folder)
    return os.path.islink(folder) and os.path.realpath(os.path.dirname(folder)).startswith(
        (target + os.sep, target)
    )


def _fail(error: OSError) -> None:
    raise error


def _is_foreign(name: str) -> bool:
    return name.startswith('.') or name in _FOREIGN_FOLDERS
