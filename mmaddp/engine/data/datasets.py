"""Dataset wrappers: faults that name their file, and randomness that depends on the position."""

from __future__ import annotations

import json
from typing import Any

from mmengine.registry import DATASETS as MMENGINE_DATASETS

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError

from .dataset_checks import check_dataset, explain_missing_file
from .pictures import picture_fault
from .seeding import seed_data


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
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(explain_missing_file(error, source)) from error
        except json.JSONDecodeError as error:
            path = dataset.get('ann_file', source)
            raise UserError(f'{path} is no whole JSON file ({error})') from error
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
            fault = picture_fault(path, thorough) if isinstance(path, str) else None
            if fault:
                raise UserError(f'{path} {fault}: mend the file or take it off the annotations')


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
    """

    def __init__(self, dataset: dict, seed: int, source: str = 'dataset') -> None:
        super().__init__(dataset, source)
        self.seed = seed

    def __getitem__(self, index: int) -> Any:
        seed_data(self.seed, getattr(index, 'epoch', 0), getattr(index, 'draw', int(index)))
        return super().__getitem__(index)
