"""Faults of segmentation maps that would train on nothing, or end a run at its validation."""

from __future__ import annotations

import logging
import os
from collections import Counter
from typing import Any

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from mmaddp.utils import UserError, shorten

from .image_files import UNREADABLE, is_image, list_files, read_header

_SAMPLED = 50


def check_seg_dataset(dataset: Any, source: str) -> None:
    """Check a sample of the files of one of MMSegmentation's datasets.

    Files that are missing or cannot be read are left to the loading, which may skip them.

    Args:
        dataset: The dataset.
        source: Its config key, for messages.

    Raises:
        UserError: All maps are missing, a map does not fit its image, a label is not one of the
            classes, or all labels are ignored.
    """
    if getattr(dataset, 'backend_args', None):
        return
    _report_other_suffixes(dataset)
    # A fault of a whole set shows in fifty files; the others are checked when they are read.
    step = max(1, len(dataset) // _SAMPLED)
    infos = [dataset.get_data_info(i) for i in range(0, len(dataset), step)]
    infos = [info for info in infos if info.get('seg_map_path')]
    found = [info for info in infos if os.path.exists(info['seg_map_path'])]
    if infos and not found:
        raise UserError(
            f'{infos[0]["seg_map_path"]}: does not exist, nor any other map of {source}: correct '
            'data_prefix.seg_map_path or seg_map_suffix'
        )
    stored = reads_stored(dataset)
    mirrored = sum(check_pair(info['img_path'], info['seg_map_path'], stored) for info in found)
    if mirrored:
        print_log(
            f'{source}: {mirrored} of {len(found)} images looked at have an EXIF tag that turns '
            'them in loading, and not their maps, which have the same size: if the maps show the '
            "images as stored, set color_type='color_ignore_orientation' of LoadImageFromFile",
            'current',
            logging.WARNING,
        )
    _check_labels(dataset, source, [info['seg_map_path'] for info in found])


def reads_stored(dataset: Any) -> bool:
    """Whether a dataset's pipeline reads images as stored, without turning them by EXIF."""
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    kinds = (getattr(one, 'color_type', None) for one in transforms)
    return str(next(filter(None, kinds), '')).endswith('ignore_orientation')


def check_pair(image_path: str, map_path: str, stored: bool = False) -> bool:
    """Check by their headers that a map fits its image; unreadable files pass.

    Args:
        image_path: The image.
        map_path: Its segmentation map.
        stored: Whether the image is loaded as stored.

    Returns:
        Whether the image is turned or mirrored in loading, but keeps its size, so that nothing
        tells whether its map is.

    Raises:
        UserError: The map has several channels, or another size.
    """
    try:
        image, seg_map = read_header(image_path), read_header(map_path)
    except OSError:
        return False
    if seg_map.channels != 1:
        raise UserError(
            f'{map_path}: has {seg_map.channels} channels, and a map has one, of class indices: '
            'save one channel where all are equal, or replace each color by its index'
        )
    # Maps are never turned: MMSegmentation reads their pixels as stored.
    expected = image.size if stored else image.turned
    if seg_map.size == expected:
        return not stored and image.orientation > 1 and image.size == image.turned
    remedy = ': resize the map without interpolation, or pair the files anew'
    if image.size != image.turned and seg_map.size in (image.size, image.turned):
        color_type = 'color' if stored else 'color_ignore_orientation'
        remedy = (
            f' by its EXIF tag: set color_type={color_type!r} of LoadImageFromFile in all '
            'pipelines, or turn the map'
        )
    raise UserError(
        f'{map_path}: is {_by(seg_map.size)}, and its image {image_path} {_by(expected)}{remedy}'
    )


def other_suffixes(dataset: Any) -> Counter:
    """Images in a dataset's folder whose ending is not its ``img_suffix``, by ending."""
    if not hasattr(dataset, 'img_suffix') or getattr(dataset, 'ann_file', ''):
        return Counter()
    folder = (dataset.data_prefix or {}).get('img_path') or ''
    images = filter(is_image, list_files(folder) if os.path.isdir(folder) else ())
    return Counter(os.path.splitext(p)[1] for p in images if not p.endswith(dataset.img_suffix))


def _report_other_suffixes(dataset: Any) -> None:
    others = other_suffixes(dataset)
    if others:
        counts = ', '.join(f'{count} with {suffix}' for suffix, count in others.most_common())
        print_log(
            f'{dataset.data_prefix["img_path"]}: {len(dataset)} images; others are left out, as '
            f'img_suffix={dataset.img_suffix!r}: {counts}',
            'current',
            logging.WARNING,
        )


def _check_labels(dataset: Any, source: str, paths: list[str]) -> None:
    classes = dataset.metainfo.get('classes') or ()
    found: set[int] = set()
    for path in paths:
        values = _values(path)
        found |= values
        labels = _used(values, dataset)
        wrong = sorted(label for label in labels if label >= len(classes))
        if classes and wrong:
            raise UserError(
                f'{path}: label {wrong[0]} is not in 0..{len(classes) - 1} of the '
                f'{len(classes)} metainfo.classes of {source}: correct the map, the classes, or '
                'reduce_zero_label'
            )
    if found and _is_useless(found, dataset):
        # The sample may have missed what is rare: look at all maps before refusing.
        for index in range(len(dataset)):
            found |= _values(dataset.get_data_info(index)['seg_map_path'])
            if not _is_useless(found, dataset):
                break
    used = _used(found, dataset)
    if found and _is_useless(found, dataset):
        zero = ', and reduce_zero_label=True ignores 0' if dataset.reduce_zero_label else ''
        raise UserError(
            f'{paths[0]}: this and all other maps of {source} hold only '
            f'{shorten(sorted(found))}: 255 is ignored{zero}: write the indices of classes'
        )
    if len(used) == 1 and len(classes) > 1:
        print_log(
            f'{source}: all maps looked at hold one class, {classes[used.pop()]!r}',
            'current',
            logging.WARNING,
        )


def labels_in(seg_map: np.ndarray, dataset: Any) -> set[int]:
    """The classes in a stored map as MMSegmentation's pipeline sees them, but the ignored one."""
    return _used(set(np.unique(seg_map).astype(int).tolist()), dataset)


def _used(values: set[int], dataset: Any) -> set[int]:
    return {_label_of(value, dataset) for value in values} - {dataset.ignore_index}


def _is_useless(values: set[int], dataset: Any) -> bool:
    """Whether all labels are ignored, or all but a background of 0."""
    # 255 beside 0 alone is a mask drawn in white, whose objects would all be ignored.
    return not _used(values, dataset) or {255} < values <= {0, 255}


def _values(path: str) -> set[int]:
    try:
        with Image.open(path) as image:
            return set(np.unique(np.asarray(image)).astype(int).tolist())
    except UNREADABLE:
        return set()


def _label_of(value: int, dataset: Any) -> int:
    """The label that MMSegmentation's LoadAnnotations makes of a value of a map."""
    if dataset.reduce_zero_label:
        value = dataset.ignore_index if value in (0, 255) else value - 1
    return (dataset.label_map or {}).get(value, value)


def _by(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'
