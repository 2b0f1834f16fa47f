"""Dataset wrappers: faults that name their file, and randomness that depends on the position."""

from __future__ import annotations

import json
from typing import Any

from mmengine.registry import DATASETS as MMENGINE_DATASETS

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError

from .dataset_checks import check_dataset, explain_no_images, explain_unreadable
from .pictures import image_fault
from .seeding import derive_seed, seed_data

MOST_CORRUPT_IN_A_ROW = 10


class CorruptImageError(UserError):
    """An image, or its segmentation map, is missing, empty or cannot be decoded.

    Attributes:
        path: Its file.
    """

    path = ''


@DATASETS.register_module()
class GuardedDataset:
    """A dataset whose faults are one line each that names the file and the remedy.

    Everything but indexing is the inner dataset's.

    Args:
        dataset: Config of the inner dataset.
        source: The config key that ``dataset`` stands at, for the messages.

    Raises:
        UserError: The annotations are missing, empty or do not fit the config; later, from
            indexing: a picture is missing, empty or truncated.
    """

    def __init__(self, dataset: dict, source: str = 'dataset') -> None:
        try:
            self.dataset = _build(dataset)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise UserError(explain_unreadable(error, source)) from error
        except json.JSONDecodeError as error:
            path = dataset.get('ann_file', source)
            raise UserError(f'{path} is no whole JSON file ({error})') from error
        except RuntimeError as error:
            message = explain_no_images(error, dataset, source)
            if message is None:
                raise
            raise UserError(message) from error
        check_dataset(self.dataset, dataset, source)
        self._found_whole: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            sample = self.dataset[index]
        except UserError:
            raise
        except Exception as error:
            self._check_pictures(index, thorough=True)
            if error.args == ('mask',):
                image = self._info(index).get('img_path')
                raise UserError(f'{image}: an annotation of this image has no mask') from error
            raise
        if index not in self._found_whole:
            self._check_pictures(index, thorough=False)
            self._found_whole.add(int(index))
        return sample

    def _info(self, index: int) -> dict:
        lookup = getattr(self.dataset, 'get_data_info', None)
        info = lookup(int(index)) if lookup else {}
        return info if isinstance(info, dict) else {}

    def _check_pictures(self, index: int, thorough: bool) -> None:
        info = self._info(index)
        for key in ('img_path', 'seg_map_path'):
            path = info.get(key)
            fault = image_fault(path, thorough) if isinstance(path, str) else None
            if fault:
                error = CorruptImageError(
                    f'{path} {fault}: mend the file, take it out of the data, or skip such files '
                    'with skip_corrupt_images=True'
                )
                error.path = path
                raise error


def _build(config: dict) -> Any:
    try:
        dataset = MMENGINE_DATASETS.build(config)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except ValueError as error:
        # MMEngine cannot pack an empty list of images; left unpacked, it can be looked at.
        if 'need at least one array' not in str(error) or config.get('serialize_data') is False:
            raise
        return _build({**config, 'serialize_data': False})
    return dataset


@DATASETS.register_module()
class SeededDataset(GuardedDataset):
    """A training dataset whose sample is a function of (seed, epoch, draw, index).

    Before each sample Python's, NumPy's and torch's generators are seeded with its position, so
    that crops, flips and the like depend neither on the number of workers and processes nor on
    whether the run was killed and resumed.

    Args:
        dataset: Config of the inner dataset.
        seed: The training's seed.
        source: The config key that ``dataset`` stands at, for the messages.
        skip_corrupt: Give another image in place of one whose file is corrupt; which one is a
            function of the position too. The sample's ``corrupt_images`` lists the files.
    """

    def __init__(
        self, dataset: dict, seed: int, source: str = 'dataset', skip_corrupt: bool = False
    ) -> None:
        super().__init__(dataset, source)
        self.seed = seed
        self.skip_corrupt = skip_corrupt

    def __getitem__(self, index: int) -> Any:
        position = (self.seed, getattr(index, 'epoch', 0), getattr(index, 'draw', int(index)))
        seed_data(*position)
        if not self.skip_corrupt:
            return super().__getitem__(index)
        corrupt: list[str] = []
        while len(corrupt) < MOST_CORRUPT_IN_A_ROW:
            try:
                sample = super().__getitem__(index)
            except CorruptImageError as error:
                corrupt.append(error.path)
                position = (*position[:3], len(corrupt))
                index = derive_seed(*position) % len(self)
                seed_data(*position)
            else:
                if corrupt:
                    sample['data_samples'].set_metainfo({'corrupt_images': corrupt})
                return sample
        raise UserError(
            f'{corrupt[-1]} and {len(corrupt) - 1} images drawn before it are all corrupt: '
            'too many to skip, look at the data folder'
        )
