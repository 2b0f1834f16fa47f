"""Whether a dataset, once loaded, is what the config takes it for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmaddp.utils import UserError

_INFOS_LOOKED_AT = 50
_NO_IMAGES = re.compile(r'Found 0 files.*extensions are: (.*)')


def explain_unreadable(error: OSError, source: str) -> str:
    """One line for a file or folder that a dataset did not find or could not read."""
    what = str(error.filename or error).rstrip('/')
    if isinstance(error, PermissionError):
        return f'{what} may not be read: give yourself the right to, or set {source}.data_root'
    fault = 'is no folder' if isinstance(error, NotADirectoryError) else 'does not exist'
    return f'{what} {fault}: set {source}.data_root, .ann_file and .data_prefix'


def explain_no_images(error: RuntimeError, config: dict, source: str) -> str | None:
    """One line for a folder in which MMPretrain found no image, or None for another error."""
    found = _NO_IMAGES.match(str(error))
    if not found:
        return None
    prefix = config.get('data_prefix', '')
    prefix = prefix.get('img_path', '') if isinstance(prefix, dict) else prefix
    folder = os.path.join(config.get('data_root', ''), prefix)
    extensions = ' '.join(sorted(found.group(1).split(',')))
    labeled = config.get('with_label', True)
    where, remedy = ('in the class folders of it', ' or with_label=False') if labeled else ('', '')
    return (
        f'{folder}: no image is {where or "in it"} ({extensions}): '
        f'set {source}.data_root and .data_prefix{remedy}'
    )


def check_dataset(dataset: Any, config: dict, source: str) -> None:
    """Check a loaded dataset against its config.

    Raises:
        UserError: Its classes are not the annotation file's, no image is left, or masks are to be
            loaded and there are none.
    """
    for leaf in leaves(dataset):
        _check_classes(leaf, source)
    if len(dataset) == 0:
        raise UserError(
            f'{source}: no image is left of it: look at data_root, ann_file, data_prefix and at '
            'filter_cfg, which drops images without annotations'
        )
    if _loads_masks(config):
        for leaf in leaves(dataset):
            _check_masks(leaf, source)


def leaves(dataset: Any) -> Iterator[Any]:
    """The datasets that a dataset is wrapped around or made of, or the dataset itself."""
    inner = vars(dataset).get('datasets') or vars(dataset).get('dataset')
    if inner is None:
        yield dataset
    else:
        for part in inner if isinstance(inner, (list, tuple)) else [inner]:
            yield from leaves(part)


def _check_classes(leaf: Any, source: str) -> None:
    if not hasattr(leaf, 'cat_ids'):
        return
    classes = leaf.metainfo.get('classes', ())
    if isinstance(classes, str):
        raise UserError(
            f"{source}.metainfo.classes must be a tuple: ('{classes}',) with its comma, "
            f"not '{classes}'"
        )
    if len(leaf.cat_ids) == len(classes):
        return
    in_file = _category_names(leaf.ann_file)
    missing = [name for name in classes if name not in in_file]
    raise UserError(
        f'{leaf.ann_file}: its categories {_some(in_file)} do not include {_some(missing)} of '
        f'{source}.metainfo.classes: set metainfo=dict(classes=...) to the names of the file'
    )


def _category_names(ann_file: str) -> list[str]:
    with open(ann_file) as file:
        return [category['name'] for category in json.load(file).get('categories', [])]


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
    for instance in islice(instances, _INFOS_LOOKED_AT):
        if 'mask' not in instance:
            raise UserError(
                f"{getattr(leaf, 'ann_file', source)}: annotations have no 'segmentation', and "
                'the config trains masks: take a config without a mask head or add the masks'
            )
