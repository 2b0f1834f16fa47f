"""The protocol of a number: what two encoders must share before their numbers are compared.

It leaves out what depends on the encoder: the backbone, the neck that adapts its maps to the head,
widths and strides, and pixel statistics. It leaves out seeds, folders, workers and logging too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from pathlib import PurePath
from typing import Any

from mmengine.config import Config

from mmaddp.utils import UserError

from .results import digest

# Raised when metrics of the package change their values.
METRIC_VERSION = 2
LIBRARIES = ('mmdet', 'mmpretrain', 'mmsegmentation', 'pycocotools')
LIBRARIES += ('onedl-mmdetection', 'onedl-mmpretrain', 'onedl-mmsegmentation')
Fields = dict[str, Any]

_HEADS = ('head', 'decode_head', 'auxiliary_head', 'rpn_head', 'roi_head', 'bbox_head')
_HEADS += ('mask_head', 'panoptic_head', 'encoder', 'decoder', 'num_queries', 'num_classes')
_OF_ENCODER = {'in_channels', 'in_index', 'strides', 'featmap_strides', 'embed_dim', 'init_cfg'}
_OF_ENCODER |= {'num_layers', 'pretrained'}
_TUNING = ('frozen', 'frozen_stages', 'lora')
_OF_GRID = {'encoder', 'checkpoint', 'layers', 'levels', 'pixels'}
_OF_MACHINE = {'backend_args', 'lazy_init', 'serialize_data', 'max_refetch', 'file', 'work_dir'}
_SPLIT = ('ann_file', 'data_prefix', 'split', 'use', 'variant', 'indices', 'classes_from')
_SIZES = (
    'scale',
    'scales',
    'size',
    'crop_size',
    'img_scale',
    'edge',
    'ratio_range',
    'scale_factor',
)
_INCIDENTAL_LOOP = {'type', 'val_interval', 'val_begin', 'dynamic_intervals'}


def protocol_of(config: Config) -> Fields:
    """The protocol of a config by field, JSON-serializable.

    Returns:
        ``data``, ``split``, ``labels``, ``resolution`` (of images in the evaluation), ``maps``
        (whether the maps scored are resized), ``crop`` (in training and of the sliding window),
        ``augmentation``, ``tuning`` (what of the encoder learns), ``head``, ``schedule``,
        ``optimizer`` and ``metric`` with its version.
    """
    config = config.to_dict()
    model, probe = config['model'], 'GridProbe' in config['model']['type']
    evaluation = 'test' if probe else 'val'
    training = pipeline(config['train_dataloader']['dataset'])
    scored = pipeline(config[f'{evaluation}_dataloader']['dataset'])
    datasets = [config[f'{name}_dataloader']['dataset'] for name in ('train', evaluation)]
    heads = {'type': model['type'], **{key: model.get(key) for key in _HEADS}}
    if probe:
        # All of a probe but the encoder, its grid and the control on raw pixels is head.
        heads = {key: value for key, value in model.items() if key not in _OF_GRID}
    return {
        'data': [data(one) for one in datasets],
        'split': [list(splits(one)) for one in datasets],
        'labels': config.get('labels') or 1,
        'resolution': [clean(one) for one in scored if resizes(one)],
        'maps': maps(scored),
        'crop': [
            [clean(one) for one in training if 'Crop' in one['type']],
            clean(model.get('test_cfg')),
        ],
        'augmentation': [
            [clean(one) for one in training if 'Crop' not in one['type']],
            clean(model.get('train_cfg')),
        ],
        'tuning': tuning(model.get('backbone') or {}),
        'head': clean(heads, _OF_ENCODER),
        'schedule': schedule(config),
        'optimizer': clean(config.get('optim_wrapper'), {'num_layers', 'num_heads'}),
        'metric': metric(config.get(f'{evaluation}_evaluator')),
    }


def hash_of(fields: Fields) -> str:
    """Eight hexadecimal digits that stand beside the numbers of a protocol."""
    return digest(fields)[:8]


def check_same(protocols: Mapping[str, Fields], where: str, may_differ: Any = ()) -> None:
    """Refuse numbers of different protocols in one table.

    Args:
        protocols: The protocol of each row.
        where: The table, for the message.
        may_differ: Fields that may differ.

    Raises:
        UserError: A field differs; names it, two rows and their values.
    """
    rows = iter(protocols.items())
    first, expected = next(rows, (None, {}))
    for name, fields in rows:
        for field in expected:
            if field not in may_differ and fields[field] != expected[field]:
                one, other = difference(expected[field], fields[field])
                raise UserError(
                    f'{where}: {first} and {name} differ in {field} ({one} and {other}): give both '
                    f'the same by `options`, or name {field!r} in `may_differ` of the task'
                )


def difference(one: Any, other: Any) -> tuple[str, str]:
    """The first parts that differ in two nested values, as short texts."""
    while type(one) is type(other):
        if isinstance(one, dict) and one.keys() == other.keys():
            key = next(key for key in one if one[key] != other[key])
            one, other = one[key], other[key]
        elif isinstance(one, list) and len(one) == len(other):
            one, other = next(pair for pair in zip(one, other) if pair[0] != pair[1])
        else:
            break
    texts = (str(one), str(other))
    return tuple(text if len(text) <= 60 else f'{text[:57]}...' for text in texts)


def clean(value: Any, dropped: set[str] = frozenset()) -> Any:
    """A part of a config without what depends on the machine or is listed in ``dropped``."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in _OF_MACHINE and k not in dropped}
        return {key: clean(item, dropped) for key, item in sorted(kept.items()) if item is not None}
    if isinstance(value, (list, tuple)):
        return [clean(item, dropped) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def leaves(dataset: dict) -> Iterator[dict]:
    """The innermost datasets of a config."""
    inner = dataset.get('dataset') or dataset.get('datasets')
    for one in inner if isinstance(inner, list) else [inner] if inner else []:
        yield from leaves(one)
    if not inner:
        yield dataset


def pipeline(dataset: dict) -> list[dict]:
    """All transforms, those of inner datasets first."""
    inner = [one for leaf in leaves(dataset) if leaf is not dataset for one in pipeline(leaf)]
    return inner + list(dataset.get('pipeline') or [])


def data(dataset: dict) -> list:
    """What the images are; of the folder, which differs between machines, only its name."""
    dropped = {'pipeline', 'data_root', *_SPLIT}
    return [
        {'root': PurePath(leaf.get('data_root') or '').name, **clean(leaf, dropped)}
        for leaf in leaves(dataset)
    ]


def splits(dataset: dict) -> Iterator[dict]:
    """Which of the data are used."""
    for leaf in leaves(dataset):
        yield clean({key: leaf[key] for key in _SPLIT if key in leaf})


def resizes(transform: dict) -> bool:
    """Whether a transform changes the size of images."""
    return any(key in transform for key in _SIZES)


def maps(transforms: list[dict]) -> str:
    """Whether annotations are scored at their own resolution or at that of the resized image."""
    kinds = [one['type'] for one in transforms]
    loads = [i for i, kind in enumerate(kinds) if 'LoadAnnotations' in kind or 'LoadDepth' in kind]
    sized = [i for i, one in enumerate(transforms) if resizes(one)]
    if not loads:
        return 'none'
    return 'resized' if any(i > loads[0] for i in sized) else 'own'


def tuning(backbone: dict) -> dict:
    """Which part of the encoder learns; empty for all of it."""
    return clean({key: backbone[key] for key in _TUNING if backbone.get(key)})


def schedule(config: dict) -> dict:
    """Length of the training, images per step, and the course of the learning rate."""
    base = (config.get('auto_scale_lr') or {}).get('base_batch_size')
    return {
        'length': clean(config.get('train_cfg'), _INCIDENTAL_LOOP),
        'batch_size': base or config['train_dataloader'].get('batch_size'),
        'course': clean(config.get('param_scheduler')),
    }


def metric(evaluator: Any) -> dict:
    """The metric and the versions of what computes it."""
    return {'config': clean(evaluator, {'ann_file'}), 'mmaddp': METRIC_VERSION, **versions()}


@cache
def versions() -> dict[str, str]:
    """Versions of the installed libraries that compute metrics, whatever their names."""
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = distribution_version(name)
    return found
