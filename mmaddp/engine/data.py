"""Training and evaluation data: faults name their file, the order depends on the position."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from PIL import Image
from torch.utils.data import DataLoader

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError

from .resumption import derive_seed, seed_data

MAX_CORRUPT_IN_A_ROW = 10
_CHECKED_INSTANCES = 50
_END_MARKERS = {'.jpg': b'\xff\xd9', '.jpeg': b'\xff\xd9', '.png': b'IEND'}


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
        source: The config key of ``dataset``, for messages.

    Raises:
        UserError: The annotations are broken, empty or do not fit the config. Indexing raises it
            for an image that is missing, empty or truncated.
    """

    def __init__(self, dataset: dict, source: str = 'dataset') -> None:
        self.dataset = _build(dataset, source)
        for leaf in leaves(self.dataset):
            if _loads_masks(dataset):
                _check_masks(leaf, source)
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
            self._check_images(index, thorough=True)
            if isinstance(error, KeyError):
                image = self._info(index).get('img_path')
                raise UserError(f'{image}: its annotations have no {error}') from error
            raise
        if index not in self._found_whole:
            self._check_images(index, thorough=False)
            self._found_whole.add(int(index))
        return sample

    def _info(self, index: int) -> dict:
        lookup = getattr(self.dataset, 'get_data_info', None)
        info = lookup(int(index)) if lookup else {}
        return info if isinstance(info, dict) else {}

    def _check_images(self, index: int, thorough: bool) -> None:
        info = self._info(index)
        for key in ('img_path', 'seg_map_path'):
            path = info.get(key)
            fault = image_fault(path, thorough) if isinstance(path, str) else None
            if fault:
                error = CorruptImageError(
                    f'{path} {fault}: repair the file, remove it from the data, or set '
                    'skip_corrupt_images=True'
                )
                error.path = path
                raise error


@DATASETS.register_module()
class SeededDataset(GuardedDataset):
    """A training dataset whose sample is a function of (seed, epoch, draw, index).

    Python's, NumPy's and torch's generators are seeded with the position before each sample, so
    that augmentation depends neither on the number of workers and processes nor on whether the
    run was killed and resumed.

    Args:
        dataset: Config of the inner dataset.
        seed: The training's seed.
        source: The config key of ``dataset``, for messages.
        skip_corrupt: Replace an image whose file is corrupt. The replacement is a function of the
            position too. The sample's ``corrupt_images`` lists the files.
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
        while len(corrupt) < MAX_CORRUPT_IN_A_ROW:
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
            'check the data folder'
        )


def make_resumable(dataloader: Any, seed: int, skip_corrupt: bool = False) -> Any:
    """Wrap a training dataloader config so that its data depends on the position alone.

    Args:
        dataloader: The config. A built dataloader is returned unchanged.
        seed: The training's seed.
        skip_corrupt: Whether images whose files are corrupt are replaced by others.
    """
    if not isinstance(dataloader, dict):
        return dataloader
    wrapped = _without_idle_workers(dataloader)
    wrapped['dataset'] = {
        'type': 'mmaddp.SeededDataset',
        'dataset': dataloader['dataset'],
        'seed': seed,
        'source': 'train_dataloader.dataset',
        'skip_corrupt': skip_corrupt,
    }
    wrapped['sampler'] = {
        'type': 'mmaddp.PositionedSampler',
        'sampler': dataloader['sampler'],
        'seed': seed,
    }
    if dataloader.get('batch_sampler'):
        wrapped['batch_sampler'] = {
            'type': 'mmaddp.SkippableBatchSampler',
            'batch_sampler': dataloader['batch_sampler'],
        }
    return wrapped


def guard_evaluation(dataloader: Any, name: str) -> Any:
    """Wrap the dataset of the dataloader config ``name`` so that its faults name the file."""
    if not isinstance(dataloader, dict):
        return dataloader
    guarded = {'type': 'mmaddp.GuardedDataset', 'dataset': dataloader['dataset']}
    guarded['source'] = f'{name}.dataset'
    return {**_without_idle_workers(dataloader), 'dataset': guarded}


def limit_workers(dataloader: DataLoader) -> DataLoader:
    """Give the dataloader no more workers than it has batches.

    A worker without a batch closes a foreign file: where its iterator is collected as part of a
    reference cycle, torch starts the thread of the worker's queue during the collection, and that
    thread closes a pipe that Python has closed already. By then its number may be another file's.
    """
    dataloader.num_workers = min(dataloader.num_workers, max(1, len(dataloader)))
    return dataloader


def leaves(dataset: Any) -> Iterator[Any]:
    """The innermost datasets of wrapped or concatenated ones, or the dataset itself."""
    inner = vars(dataset).get('datasets') or vars(dataset).get('dataset')
    if inner is None:
        yield dataset
    else:
        for part in inner if isinstance(inner, (list, tuple)) else [inner]:
            yield from leaves(part)


def image_fault(path: str, thorough: bool = False) -> str | None:
    """What is wrong with an image file, or None when it is whole.

    Paths outside the local file system pass.

    Args:
        path: The file.
        thorough: Decode the image even if its end marker is there.
    """
    if '://' in path:
        return None
    if not os.path.exists(path):
        return 'does not exist'
    if os.path.getsize(path) == 0:
        return 'is empty'
    # OpenCV silently decodes a truncated JPEG to a half gray image. Its missing end marker tells.
    if not thorough and _has_end_marker(path):
        return None
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        return f'cannot be decoded ({error})'
    return None


def _has_end_marker(path: str) -> bool:
    marker = _END_MARKERS.get(os.path.splitext(path)[1].lower())
    if marker is None:
        return True
    with open(path, 'rb') as file:
        file.seek(-min(64, os.path.getsize(path)), os.SEEK_END)
        return marker in file.read()


def _without_idle_workers(dataloader: dict) -> dict:
    """PyTorch refuses settings of workers where there are none."""
    if dataloader.get('num_workers'):
        return dict(dataloader)
    idle = ('persistent_workers', 'prefetch_factor')
    return {key: value for key, value in dataloader.items() if key not in idle}


def _build(config: dict, source: str) -> Any:
    try:
        dataset = _load(config)
    except (OSError, RuntimeError, json.JSONDecodeError) as error:
        raise UserError(
            f'{source}: {str(error).splitlines()[0]}: check data_root, data_prefix, with_label '
            f'and ann_file={config.get("ann_file", "")!r}'
        ) from error
    except ValueError:
        # MMEngine cannot serialize an empty dataset.
        if config.get('serialize_data') is False:
            raise
        return _build({**config, 'serialize_data': False}, source)
    for leaf in leaves(dataset):
        _check_classes(leaf, source)
    if len(dataset) == 0:
        raise UserError(
            f'{source}: no image is left: check data_root, ann_file, data_prefix and '
            'filter_cfg, which drops images without annotations'
        )
    return dataset


def _load(config: dict) -> Any:
    dataset = MMENGINE_DATASETS.build(config)
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    return dataset


def _check_classes(leaf: Any, source: str) -> None:
    classes = leaf.metainfo.get('classes', ()) if hasattr(leaf, 'cat_ids') else ()
    if len(getattr(leaf, 'cat_ids', ())) == len(classes):
        return
    with open(leaf.ann_file) as file:
        in_file = [category['name'] for category in json.load(file).get('categories', [])]
    missing = [name for name in classes if name not in in_file]
    raise UserError(
        f'{leaf.ann_file}: its categories {_some(in_file)} do not include {_some(missing)} of '
        f'{source}.metainfo.classes: set metainfo=dict(classes=...) to the names in the file'
    )


def _some(names: list[str], most: int = 5) -> str:
    shown = ', '.join(repr(name) for name in names[:most])
    return f'({shown}{", ..." if len(names) > most else ""})'


def _loads_masks(config: Any) -> bool:
    if isinstance(config, dict):
        return bool(config.get('with_mask')) or any(map(_loads_masks, config.values()))
    return isinstance(config, (list, tuple)) and any(map(_loads_masks, config))


def _check_masks(leaf: Any, source: str) -> None:
    infos = (leaf.get_data_info(i) for i in range(len(leaf)))
    instances = (one for info in infos for one in info.get('instances', ()))
    if not all('mask' in one for one in islice(instances, _CHECKED_INSTANCES)):
        raise UserError(
            f"{getattr(leaf, 'ann_file', source)}: annotations have no 'segmentation', which the "
            'config trains on: take a config without a mask head, or add the masks'
        )
