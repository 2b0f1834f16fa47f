"""Training and evaluation data: faults name their file, the order depends on the position."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict
from mmengine.logging import print_log
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from torch.utils.data import DataLoader

from mmaddp.datasets.image_files import TINY_SIDE, CorruptImageError, check_image, read_header
from mmaddp.datasets.label_subsets import classes_of_images, subset_indices
from mmaddp.datasets.seg_maps import check_pair, check_seg_dataset, other_suffixes, reads_stored
from mmaddp.registry import DATASETS
from mmaddp.utils import UserError, check_range, reason_of

from .resumption import derive_seed, seed_data

MAX_CORRUPT_IN_A_ROW = 10
_MMCV_READER = 'mmcv.transforms.loading.LoadImageFromFile'
# More would take minutes on a network disk.
_LOOKED_FOR = 1000


class DatasetWrapper:
    """A dataset of which everything but indexing is that of its ``dataset``."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)


@DATASETS.register_module()
class GuardedDataset(DatasetWrapper):
    """A dataset whose faults are one line each that names the file and the remedy.

    Args:
        dataset: Config of the inner dataset.
        source: The config key of ``dataset``, for messages.

    Raises:
        UserError: The annotations are broken, empty or do not fit the config, or images of them
            are missing. Indexing raises it for an image that is empty or truncated.
    """

    skip_corrupt = False
    _remedy = 'repair the file, or remove it from the data'

    def __init__(self, dataset: dict, source: str = 'dataset') -> None:
        self.dataset = build_dataset(dataset, source)
        self._is_local = is_local(dataset)
        for leaf in leaves(self.dataset):
            read_all_types(leaf)
            # MMDetection's datasets have a seg_map_suffix too, but not this one.
            if self._is_local and hasattr(leaf, 'reduce_zero_label'):
                check_seg_dataset(leaf, source)
        if self._is_local:
            self._look_for_images(source)
        self._found_whole: set[int] = set()

    def __getitem__(self, index: int) -> Any:
        if not self._is_local:
            return self._read_elsewhere(index)
        try:
            sample = self.dataset[index]
        except Exception as error:
            if not isinstance(error, UserError):
                self._check_images(index, thorough=True)
                self._explain(error, index)
            raise
        if index not in self._found_whole:
            self._check_images(index, thorough=False)
            self._found_whole.add(int(index))
        return sample

    def _explain(self, error: Exception, index: int) -> None:
        image = self._info(index).get('img_path')
        if isinstance(error, KeyError):
            raise UserError(f'{image}: its annotations have no {error}') from error
        size = read_header(image).size if image else None
        if size and min(size) < TINY_SIDE:
            raise UserError(
                f'{image}: {size[0]} x {size[1]} pixels are too few for the pipeline '
                f'({reason_of(error)}): remove it from the data'
            ) from error

    def _look_for_images(self, source: str) -> None:
        """Refuse missing and truncated images now, not when they are read."""
        step = max(1, len(self) // _LOOKED_FOR)
        infos = [self._info(index) for index in range(0, len(self), step)]
        paths, maps = (_local_paths(infos, key) for key in ('img_path', 'seg_map_path'))
        missing = [path for path in paths if not os.path.exists(path)]
        if missing and (not self.skip_corrupt or len(missing) == len(paths)):
            raise UserError(
                f'{source}: {len(missing)} of {len(paths)} images looked for do not exist, such as '
                f'{missing[0]}: correct data_prefix, or remove them from the annotations'
            )
        for path in () if self.skip_corrupt else (*paths, *maps):
            check_image(path, remedy=self._remedy)

    def _read_elsewhere(self, index: int) -> Any:
        """The sample, where a storage backend reads its files."""
        try:
            return self.dataset[index]
        except (OSError, KeyError) as fault:
            path = self._info(index).get('img_path', '')
            raise CorruptImageError(
                f'{path} cannot be read by its storage backend ({fault}): check data_prefix and '
                'backend_args',
                path,
            ) from fault

    def _info(self, index: int) -> dict:
        lookup = getattr(self.dataset, 'get_data_info', None)
        info = lookup(int(index)) if lookup else {}
        return info if isinstance(info, dict) else {}

    def _check_images(self, index: int, thorough: bool) -> None:
        info = self._info(index)
        for key in ('img_path', 'seg_map_path'):
            if isinstance(info.get(key), str):
                check_image(info[key], thorough, self._remedy)
        # MMDetection's panoptic maps, which have three channels, have no such key.
        if self._is_local and 'reduce_zero_label' in info and info.get('seg_map_path'):
            stored = any(map(reads_stored, leaves(self.dataset)))
            check_pair(info['img_path'], info['seg_map_path'], stored)


def _local_paths(infos: list[dict], key: str) -> list[str]:
    paths = (info.get(key) for info in infos)
    return [path for path in paths if isinstance(path, str) and '://' not in path]


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

    _remedy = f'{GuardedDataset._remedy}, or set skip_corrupt_images=True'

    def __init__(
        self, dataset: dict, seed: int, source: str = 'dataset', skip_corrupt: bool = False
    ) -> None:
        self.skip_corrupt = skip_corrupt
        super().__init__(dataset, source)
        self.seed = seed

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
            f'{corrupt[-1]} and {len(corrupt) - 1} images sampled before it are all corrupt: '
            'check the data folder'
        )


@DATASETS.register_module()
class FixedViews(DatasetWrapper):
    """A training dataset with a fixed number of views of each image, for a bank of features.

    Augmentation is a function of the image and the view. Each pass over the data takes the next
    view, whatever the seed of the training, so features of views can be kept.

    Args:
        dataset: Config of the inner dataset.
        views: Number of views of each image.
    """

    def __init__(self, dataset: dict, views: int = 1) -> None:
        check_range('bank.views', views, 1)
        self.dataset, self.views = MMENGINE_DATASETS.build(dataset), views

    def __getitem__(self, index: int) -> Any:
        # A sampler without an end counts its draws on, one that has an end its epochs.
        passes = getattr(index, 'epoch', 0) + getattr(index, 'draw', 0) // len(self)
        seed_data(self._identify(int(index)), passes % self.views)
        return self.dataset[int(index)]

    def _identify(self, index: int) -> int:
        """A number of the image that does not change where only a part of the data is used."""
        lookup = getattr(self.dataset, 'get_data_info', None)
        if lookup is None:
            return index
        info = {key: value for key, value in lookup(index).items() if key != 'sample_idx'}
        name = Path(info['img_path']).name if 'img_path' in info else repr(sorted(info.items()))
        return zlib.crc32(name.encode())


@DATASETS.register_module()
def label_subset(dataset: dict, labels: float, seed: int, source: str) -> Any:
    """A dataset with a part of its images, nested by seed: see :mod:`mmaddp.datasets`.

    Args:
        dataset: Config of the dataset.
        labels: The fraction of its images to keep.
        seed: Seed of the choice.
        source: The config key of ``dataset``, for messages.

    Raises:
        UserError: The dataset cannot be cut, has no labels, or too few images would be left.
    """
    built = build_dataset(dataset, source)
    if not hasattr(built, 'get_subset_'):
        raise UserError(f'labels: {source} is a {type(built).__name__}, which has no get_subset_')
    built.get_subset_(subset_indices(classes_of_images(built), labels, seed))
    print_log(f'{source}: labels={labels}: {len(built)} images', 'current')
    return built


def keep_labels(dataset: Any, labels: float, seed: int, source: str) -> Any:
    """Cut each innermost dataset of a config, so that wrappers mix no other images in."""
    if isinstance(dataset, (list, tuple)):
        return [keep_labels(one, labels, seed, source) for one in dataset]
    for key in ('dataset', 'datasets'):
        if key in dataset:
            return {**dataset, key: keep_labels(dataset[key], labels, seed, source)}
    return dict(
        type='mmaddp.label_subset', dataset=dataset, labels=labels, seed=seed, source=source
    )


def make_resumable(
    dataloader: Any, seed: int, skip_corrupt: bool = False, labels: float | None = None
) -> Any:
    """Wrap a training dataloader config so that its data depends on the position alone.

    Args:
        dataloader: The config. A built dataloader is returned unchanged.
        seed: The training's seed.
        skip_corrupt: Whether images whose files are corrupt are replaced by others.
        labels: The fraction of the images to train on; None for all.
    """
    if not isinstance(dataloader, dict):
        return dataloader
    wrapped = _without_idle_workers(dataloader)
    source, dataset = 'train_dataloader.dataset', dataloader['dataset']
    if labels not in (None, 1):
        dataset = keep_labels(dataset, labels, seed, source)
    wrapped['dataset'] = {
        'type': 'mmaddp.SeededDataset',
        'dataset': dataset,
        'seed': seed,
        'source': source,
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


def leaf_of(dataset: ConfigDict) -> ConfigDict:
    """The innermost dataset's config."""
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def leaves(dataset: Any) -> Iterator[Any]:
    """The innermost datasets of wrapped or concatenated ones, or the dataset itself."""
    inner = vars(dataset).get('datasets') or vars(dataset).get('dataset')
    if inner is None:
        yield dataset
    else:
        for part in inner if isinstance(inner, (list, tuple)) else [inner]:
            yield from leaves(part)


def is_local(config: Any) -> bool:
    """Whether all files that a config reads are on the local disk, by its ``backend_args``."""
    if isinstance(config, dict):
        backend = (config.get('backend_args') or {}).get('backend', 'local')
        return backend == 'local' and all(map(is_local, config.values()))
    return not isinstance(config, (list, tuple)) or all(map(is_local, config))


def _without_idle_workers(dataloader: dict) -> dict:
    """PyTorch refuses settings of workers where there are none."""
    if dataloader.get('num_workers'):
        return dict(dataloader)
    idle = ('persistent_workers', 'prefetch_factor')
    return {key: value for key, value in dataloader.items() if key not in idle}


def build_dataset(config: dict, source: str) -> Any:
    """Build and load a dataset; a fault is one line that names ``source``, its config key."""
    try:
        dataset = _load(config)
    except (AssertionError, OSError, RuntimeError, json.JSONDecodeError) as error:
        reason = str(error).partition('\n')[0]
        raise UserError(
            f'{source}: {reason}: check data_root, data_prefix, with_label '
            f'and ann_file={config.get("ann_file", "")!r}'
        ) from error
    except ValueError as error:
        # MMEngine cannot serialize an empty dataset.
        if isinstance(error, UserError) or config.get('serialize_data') is False:
            raise
        return build_dataset({**config, 'serialize_data': False}, source)
    if len(dataset) == 0:
        raise UserError(f'{source}: {_why_empty(dataset)}')
    return dataset


def _why_empty(dataset: Any) -> str:
    for leaf in leaves(dataset):
        for suffix in other_suffixes(leaf):
            return (
                f'no image in {leaf.data_prefix["img_path"]} ends with {leaf.img_suffix!r}, but '
                f'some with {suffix!r}: set img_suffix={suffix!r}'
            )
    return (
        'no image is left: check data_root, ann_file, data_prefix and filter_cfg, which drops '
        'images without annotations'
    )


def _load(config: dict) -> Any:
    dataset = MMENGINE_DATASETS.build(config)
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    return dataset


def read_all_types(dataset: Any) -> None:
    """Let a dataset's pipeline read all types of images.

    Configs name MMCV's reader, which the inferencers of OpenMMLab look for.
    """
    pipeline = getattr(dataset, 'pipeline', None)
    for index, one in enumerate(getattr(pipeline, 'transforms', ())):
        # By name, so that MMCV may be absent.
        is_reader = f'{type(one).__module__}.{type(one).__name__}' == _MMCV_READER
        if is_reader and not one.ignore_empty:
            from mmaddp.datasets import LoadImage

            pipeline.transforms[index] = LoadImage.like(one)
