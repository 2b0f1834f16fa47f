"""The test sets of a robustness evaluation under one root, in the layouts they unpack to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmaddp.datasets.imagenet_variants import (
    CLASS_LISTS,
    CORRUPTIONS,
    SEVERITIES,
    class_images,
)
from mmaddp.utils import UserError

DATASET_NAMES = tuple(CLASS_LISTS)
# ImageNet-Sketch's archive unpacks to a folder of this name.
OTHER_NAMES = {'sketch': 'imagenet-sketch'}


@dataclass(frozen=True)
class RobustnessPart:
    """One folder of class folders: a whole data set, or one corruption at one severity of -C.

    Attributes:
        dataset: 'imagenet-a', 'imagenet-r', 'imagenet-sketch' or 'imagenet-c'.
        folder: Absolute path of the class folders.
        classes: Number of class folders with images.
        images: Number of images.
        corruption: For -C one of :data:`CORRUPTIONS`, else None.
        severity: For -C 1 to 5, else None.
    """

    dataset: str
    folder: Path
    classes: int
    images: int
    corruption: str | None = None
    severity: int | None = None

    @property
    def key(self) -> str:
        """'imagenet-a', or 'imagenet-c/fog/3' for -C."""
        if self.corruption is None:
            return self.dataset
        return f'{self.dataset}/{self.corruption}/{self.severity}'


def find_parts(
    data_root: str | os.PathLike, datasets: Sequence[str] | None = None
) -> list[RobustnessPart]:
    """List the test sets under ``data_root``, in a fixed order.

    Names of data sets may have capitals or underscores (``ImageNet_A``). The corruptions of -C are
    in its folder or one level deeper, as its archives unpack (``noise/shot_noise``).

    Args:
        data_root: Folder of the data sets' folders.
        datasets: Names of the data sets to take; None for all that exist.

    Raises:
        UserError: A data set of ``datasets`` is missing, none is found, or one has no images.
    """
    folders = _dataset_folders(Path(data_root).expanduser())
    missing = [name for name in datasets or () if name not in folders]
    if missing or not folders:
        raise UserError(
            f'{data_root}: no folder {" or ".join(missing or DATASET_NAMES)}; put or link the '
            f'unpacked data set there, or choose others with --datasets'
        )
    chosen = [name for name in DATASET_NAMES if name in (datasets or folders)]
    return [part for name in chosen for part in _parts_of(name, folders[name])]


def _dataset_folders(data_root: Path) -> dict[str, Path]:
    folders = {}
    for entry in sorted(data_root.glob('*')):
        name = entry.name.lower().replace('_', '-')
        name = OTHER_NAMES.get(name, name)
        if name in DATASET_NAMES and entry.is_dir():
            folders.setdefault(name, entry.resolve())
    return folders


def _parts_of(dataset: str, folder: Path) -> list[RobustnessPart]:
    if dataset != 'imagenet-c':
        return [_part(dataset, folder)]
    parts = [_part(dataset, *found) for found in _corruption_folders(folder)]
    if not parts:
        raise UserError(
            f'{folder}: none of the {len(CORRUPTIONS)} corruptions of ImageNet-C; expected folders '
            f'such as gaussian_noise/1/n01440764 or noise/gaussian_noise/1/n01440764'
        )
    return parts


def _corruption_folders(folder: Path) -> Iterator[tuple[Path, str, int]]:
    groups = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    for corruption in CORRUPTIONS:
        home = next((g / corruption for g in groups if (g / corruption).is_dir()), None)
        for severity in SEVERITIES if home else ():
            if (home / str(severity)).is_dir():
                yield home / str(severity), corruption, severity


def _part(
    dataset: str, folder: Path, corruption: str | None = None, severity: int | None = None
) -> RobustnessPart:
    found = class_images(folder, dataset)
    classes = len({wnid for wnid, _ in found})
    return RobustnessPart(dataset, folder, classes, len(found), corruption, severity)
