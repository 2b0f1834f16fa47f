"""From annotation files as exporters write them to COCO's format as its evaluation reads it.

:func:`read_coco` parses a file, puts its categories in the order of the classes, and takes each
annotation through the steps at the end of this module. A step mends an annotation in place or says
why it cannot be used.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

import numpy as np
from mmengine.fileio import get
from pycocotools import mask as mask_utils

from mmaddp.utils import UserError, refuse_if, shorten

from .image_files import Header

UNKNOWN_IMAGE = 'unknown image_id'
UNKNOWN_CATEGORY = 'unknown category_id'
OTHER_CLASS = 'of a category that is not in metainfo.classes'
NO_BOX = 'bbox is not four finite numbers'
RELATIVE_BOX = 'bbox in 0..1'
EMPTY_BOX = 'bbox without a size'
OUTSIDE = 'bbox outside the image'
NO_MASK = "no 'segmentation'"
FAR_MASK = 'segmentation outside its bbox'
BROKEN_MASK = 'broken segmentation'
CROWD = 'iscrowd=1'
BOX_HEADS = (
    'train boxes alone with configs/det/addp/faster-rcnn_*.py or cascade-rcnn_*.py, as '
    'configs/det/addp/faster-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py does'
)
REMEDIES = {
    UNKNOWN_IMAGE: "make it the id of one of the file's images",
    UNKNOWN_CATEGORY: "make it the id of one of the file's categories",
    OTHER_CLASS: 'set metainfo.classes to the names in the file',
    NO_BOX: 'give x, y, width and height in pixels',
    RELATIVE_BOX: "give pixels: multiply by the image's width and height",
    EMPTY_BOX: 'give x, y, width and height in pixels',
    OUTSIDE: "correct bbox, or the image's width and height",
    NO_MASK: f'add the masks, or {BOX_HEADS}',
    FAR_MASK: f'give both in pixels of the image, or {BOX_HEADS}',
    BROKEN_MASK: (
        'a polygon has six numbers or more, x and y in pixels, and an RLE the size of its '
        f'image: correct them, or {BOX_HEADS}'
    ),
    CROWD: 'set iscrowd to 0 for single objects',
}
_SAMPLED_IMAGES = 1000


Measure = Callable[[str], Header]


@dataclass
class CocoFile:
    """An annotation file in COCO's format.

    Attributes:
        path: The file.
        images: Each has ``id`` and ``file_name``; ``width`` and ``height`` where they are known.
        annotations: Those that can be used. ``id`` counts from 1. With masks, an annotation
            without one stays as a crowd, which neither training nor evaluation counts.
        categories: One for each class, in the order of the classes.
        total: Number of annotations in the file.
        lost: How many annotations cannot be used, by reason.
        examples: The value that was found first, by reason.
        told: How many values were computed or look wrong, by what they are.
    """

    path: str
    images: list[dict]
    annotations: list[dict]
    categories: list[dict]
    total: int = 0
    lost: Counter = field(default_factory=Counter)
    examples: dict[str, Any] = field(default_factory=dict)
    told: Counter = field(default_factory=Counter)

    @property
    def used(self) -> int:
        """Number of annotations that training and evaluation count: all but crowds."""
        return sum(not one['iscrowd'] for one in self.annotations)

    def lose(self, reason: str, example: Any) -> None:
        """Count an annotation that cannot be used."""
        self.lost[reason] += 1
        self.examples.setdefault(reason, example)

    def losses(self) -> str:
        """The reasons with their counts and an example each."""
        return ', '.join(
            f'{count} {reason} (such as {_shorten(self.examples[reason])})'
            for reason, count in self.lost.most_common()
        )

    def check_used(self) -> None:
        """Check that something is left.

        Raises:
            UserError: There are annotations, but none can be used.
        """
        if self.total == 0 or self.used:
            return
        for one in self.annotations:
            if not one.get('lost'):
                self.lose(CROWD, f'annotation {one["id"]}')
        worst = self.lost.most_common(1)[0][0]
        raise UserError(
            f'{self.path}: none of its {self.total} annotations can be used: {self.losses()}: '
            f'{REMEDIES[worst]}'
        )


def read_coco(
    path: str,
    classes: tuple[str, ...],
    with_masks: bool = False,
    backend_args: dict | None = None,
    measure: Measure | None = None,
) -> CocoFile:
    """Read an annotation file.

    Args:
        path: The file.
        classes: Names of the classes, whose order labels follow.
        with_masks: Whether an annotation without a mask is of no use.
        backend_args: Where the file is stored, as of ``mmengine.fileio``.
        measure: The size of an image by its ``file_name``, for images without ``width`` and
            ``height``, and to compare those that have them. It raises OSError for an image that
            cannot be read.

    Raises:
        UserError: The file is not in COCO format, its categories lack the names of ``classes``,
            or an image has another size than the file says.
    """
    content = _parse(path, backend_args)
    categories, ids = _match_categories(content, classes, path)
    images = _index_images(content, path)
    annotations = _without_repeats(content['annotations'])
    found = CocoFile(path, list(images.values()), [], categories, len(annotations))
    if measure is not None:
        _measure_images(found, annotations, images, measure)
    for one in annotations:
        _add(found, one, images, ids, with_masks)
    boxes = {(one['image_id'], one['category_id'], *one['bbox']) for one in found.annotations}
    repeated = len(found.annotations) - len(boxes)
    if repeated:
        found.told['boxes are repeated, and each counts as an object'] = repeated
    return found


def _parse(path: str, backend_args: dict | None) -> dict:
    """The file's content. JSON of bytes may begin with a byte-order mark."""
    try:
        content = json.loads(get(path, backend_args=backend_args))
    except ValueError as error:
        raise UserError(f'{path}: not a JSON file: {error}: write it again') from error
    lists = content if isinstance(content, dict) else {}
    # The images of a test set have no annotations at all.
    lists['annotations'] = lists.get('annotations') or []
    for key in ('images', 'annotations', 'categories'):
        listed = lists.get(key) or ([] if key == 'categories' else lists.get(key))
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise UserError(f"{path}: not in COCO format: '{key}' is not a list of objects")
    return lists


def _check_keys(one: dict, kind: str, name: str, path: str) -> None:
    if _as_id(one.get('id')) is None or one.get(name) is None:
        raise UserError(f"{path}: the {kind} {_shorten(one)} needs 'id' and '{name}': add them")


# Categories


def _match_categories(
    content: dict, classes: tuple[str, ...], path: str
) -> tuple[list[dict], dict[Any, Any]]:
    """One category for each class, and by each id in the file the id to use.

    Ids stay those of the file, since results are submitted with them. An id whose name is no class
    has None.
    """
    classes = tuple(classes)
    listed = content.get('categories') or _default_categories(content, classes, path)
    by_name: dict[str, list] = {}
    for one in listed:
        _check_keys(one, 'category', 'name', path)
        by_name.setdefault(str(one['name']).strip(), []).append(_as_id(one['id']))
    _check_names(by_name, classes, path)
    # Ids are compared after conversion: exporters write them as text, too.
    used = {_as_id(one.get('category_id')) for one in content['annotations']}
    ids: dict[Any, Any] = {i: None for same in by_name.values() for i in same}
    categories = []
    for name in classes:
        # Roboflow lists an unused category 0 under the name of a class.
        chosen = next((i for i in by_name[name] if i in used), by_name[name][0])
        ids.update(dict.fromkeys(by_name[name], chosen))
        categories.append({'id': chosen, 'name': name})
    return categories, ids


def _default_categories(content: dict, classes: tuple[str, ...], path: str) -> list[dict]:
    """The category of a file that lists none: one class and one id belong together."""
    used = {_as_id(one.get('category_id', 1)) for one in content['annotations']}
    if len(classes) == 1 and len(used) <= 1:
        only = used.pop() if used else 1
        for one in content['annotations']:
            one['category_id'] = only
        return [{'id': only, 'name': classes[0]}]
    example = json.dumps([{'id': i, 'name': name} for i, name in enumerate(classes, 1)][:2])
    raise UserError(
        f"{path}: no 'categories', so nothing says which category_id is which class: add "
        f'"categories": {example[:-1]}{", ..." if len(classes) > 2 else ""}]'
    )


def _check_names(by_name: dict[str, list], classes: tuple[str, ...], path: str) -> None:
    missing = [name for name in classes if name not in by_name]
    twice = [name for name, count in Counter(classes).items() if count > 1]
    owners = [(i, name) for name, ids in by_name.items() for i in set(ids)]
    shared, count = Counter(i for i, _ in owners).most_common(1)[0] if owners else (None, 0)
    names = ' and '.join(repr(name) for i, name in owners if i == shared)
    refuse_if(
        (
            missing,
            f'{path}: its categories {shorten(list(by_name))} do not include {shorten(missing)} of '
            'metainfo.classes: set metainfo=dict(classes=...), or CLASSES, to the names there',
        ),
        (twice, f'metainfo.classes names {shorten(twice)} twice: name each class once'),
        (count > 1, f'{path}: categories {names} have the same id {shared}: give each its own'),
    )


# Images


def _index_images(content: dict, path: str) -> dict[Any, dict]:
    images: dict[Any, dict] = {}
    for one in content['images']:
        _check_keys(one, 'image', 'file_name', path)
        i = _as_id(one['id'])
        if i in images and images[i]['file_name'] != one['file_name']:
            raise UserError(
                f'{path}: images {images[i]["file_name"]} and {one["file_name"]} have the same id '
                f'{i}: give each its own'
            )
        images[i] = _with_size({**one, 'id': i})
    return images


def _with_size(image: dict) -> dict:
    """The image with whole numbers as its size, or without a size."""
    try:
        size = {key: int(image.pop(key, 0) or 0) for key in ('width', 'height')}
    except (TypeError, ValueError):
        return image
    return {**image, **size} if min(size.values()) > 0 else image


def _measure_images(
    found: CocoFile, annotations: list[dict], images: dict[Any, dict], measure: Measure
) -> None:
    """Fill in the sizes that are missing, and compare some of the others with the images."""
    # The lower right corner of all boxes of an image, which tells a wrong or turned size.
    corners: dict[Any, tuple[float, float]] = {}
    for one in annotations:
        i, box = _as_id(one.get('image_id')), _numbers(one.get('bbox'), 4)
        if box:
            x, y = corners.get(i, (0, 0))
            corners[i] = max(x, box[0] + box[2]), max(y, box[1] + box[3])
    # Headers of 100,000 images on a network disk would take minutes.
    step = max(1, len(images) // _SAMPLED_IMAGES)
    wrong = []
    for index, image in enumerate(images.values()):
        corner = corners.get(image['id'], (0, 0))
        if 'width' not in image:
            _fill_size(found, image, corner, measure)
        elif index % step == 0 or not _holds((image['width'], image['height']), corner):
            size = _try_measure(image, measure)
            if size and (image['width'], image['height']) not in (size.size, size.turned):
                wrong.append((image, size.turned))
    if wrong:
        image, size = wrong[0]
        raise UserError(
            f'{found.path}: {image["file_name"]} is {image["width"]} x {image["height"]} there, '
            f'the image itself is {size[0]} x {size[1]}, as for {len(wrong)} of {len(images)} '
            "images: take away 'width' and 'height' if the boxes are in the image's pixels, "
            'else scale the boxes'
        )


def _fill_size(found: CocoFile, image: dict, corner: tuple, measure: Measure) -> None:
    try:
        size = measure(image['file_name'])
    except OSError as error:
        raise UserError(
            f"{found.path}: {image['file_name']} has no 'width' and 'height', and the image cannot "
            f'be read ({error}): correct data_prefix, or add them'
        ) from error
    # Readers turn an image by its EXIF tag, and so do most who annotate.
    stored = _holds(size.size, corner) and not _holds(size.turned, corner)
    image['width'], image['height'] = size.size if stored else size.turned
    found.told['sizes read from the images'] += 1


def _try_measure(image: dict, measure: Measure) -> Header | None:
    """An image that is missing is told when it is read, if it is."""
    try:
        return measure(image['file_name'])
    except OSError:
        return None


def _holds(size: tuple[int, int], corner: tuple[float, float]) -> bool:
    """Whether a point lies in an image, but for rounding."""
    return corner[0] <= size[0] + 1 and corner[1] <= size[1] + 1


# Annotations. A step returns None, or the reason why the annotation is lost and its value.

Fault = Optional[tuple[str, Any]]


def _without_repeats(annotations: list[dict]) -> list[dict]:
    """The annotations without those that stand there twice, id and all, as in joined files."""
    seen: dict[Any, dict] = {}
    kept = []
    for one in annotations:
        i = _as_id(one.get('id'))
        if i is None or seen.setdefault(i, one) is one or seen[i] != one:
            kept.append(one)
    return kept


def _add(
    found: CocoFile, one: dict, images: dict[Any, dict], ids: dict[Any, Any], with_masks: bool
) -> None:
    one['id'] = len(found.annotations) + 1  # 0 is "no match" to COCO's evaluation
    _set_crowd(one)
    fault = _check_image(one, images) or _check_category(one, ids)
    if fault is None:
        image = images[one['image_id']]
        broken = _set_segmentation(one, image)
        fault = _set_box(one) or _check_inside(one, image)
        if fault is None and 'segmentation' in one and not _meets(one['segmentation'], one['bbox']):
            del one['segmentation']
            broken = FAR_MASK, one['bbox']
    if fault is not None:
        found.lose(*fault)
        return
    _set_area(one, found.told)
    x, y, w, h = one['bbox']
    if not _holds((image.get('width', math.inf), image.get('height', math.inf)), (x + w, y + h)):
        found.told['boxes reach beyond their image (bbox is x, y, width, height)'] += 1
    if with_masks and 'segmentation' not in one:
        if not one['iscrowd']:
            found.lose(*(broken or (NO_MASK, f'annotation {one["id"]}')))
            one.update(iscrowd=1, lost=True)
        one['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    found.annotations.append(one)


def _check_image(one: dict, images: dict[Any, dict]) -> Fault:
    value = one.get('image_id')
    one['image_id'] = _as_id(value)
    return None if one['image_id'] in images else (UNKNOWN_IMAGE, value)


def _check_category(one: dict, ids: dict[Any, Any]) -> Fault:
    value = one.get('category_id')
    i = _as_id(value)
    if i not in ids:
        return UNKNOWN_CATEGORY, value
    one['category_id'] = ids[i]
    return (OTHER_CLASS, value) if ids[i] is None else None


def _set_crowd(one: dict) -> None:
    # An object to ignore is neither to be found nor wrong to find, as a crowd.
    marks = (one.get('iscrowd'), one.pop('ignore', 0))
    one['iscrowd'] = int(any(str(mark or 0).lower() not in ('0', '0.0', 'false') for mark in marks))


def _set_segmentation(one: dict, image: dict) -> Fault:
    """Bring the mask to a list of polygons or an RLE; a mask that is none is taken away."""
    mask = one.pop('segmentation', None)
    if not mask:
        return None
    if isinstance(mask, dict):
        whole = mask if _is_rle(mask, image) else None
    else:
        whole = [p for p in _polygons(mask) if len(p) >= 6 and len(p) % 2 == 0 and max(p) > 1]
    if not whole:
        return BROKEN_MASK, mask
    one['segmentation'] = whole
    return None


def _is_rle(mask: dict, image: dict) -> bool:
    height, width = image.get('height'), image.get('width')
    size, counts = _numbers(mask.get('size'), 2), mask.get('counts')
    if not size or not isinstance(counts, (list, str)):
        return False
    if isinstance(counts, list):
        whole = sum(_numbers(counts)) == size[0] * size[1]
    else:
        whole = _decodes(mask)
    return whole and (height is None or size == [height, width])


def _decodes(mask: dict) -> bool:
    try:
        mask_utils.decode(mask)
    except ValueError:
        return False
    return True


def _polygons(mask: Any) -> list[list[float]]:
    """The polygons of a list of them, of a flat list of numbers, or of nested points."""
    if not isinstance(mask, list):
        return []
    if _numbers(mask):
        return [mask]
    if all(_numbers(point, 2) for point in mask):
        return [[value for point in mask for value in point]]
    return [p for part in mask for p in ([part] if _numbers(part) else _polygons(part))]


def _set_box(one: dict) -> Fault:
    value = one.get('bbox')
    if value is None and 'segmentation' in one:
        value = _box_of(one['segmentation'])
    box = _numbers(value, 4)
    if not box:
        return NO_BOX, value
    one['bbox'] = box
    if max(map(abs, box)) <= 1 and min(box[2:]) > 0:
        return RELATIVE_BOX, value
    return None if min(box[2:]) > 0 else (EMPTY_BOX, value)


def _check_inside(one: dict, image: dict) -> Fault:
    x, y, w, h = one['bbox']
    width, height = image.get('width', math.inf), image.get('height', math.inf)
    inside = min(x + w, width) > max(x, 0) and min(y + h, height) > max(y, 0)
    return None if inside else (OUTSIDE, one['bbox'])


def _meets(mask: list | dict, box: list[float]) -> bool:
    """Whether a polygon of a mask reaches into its box; an RLE is taken to."""
    x, y, w, h = box
    return isinstance(mask, dict) or any(
        max(p[0::2]) >= x and min(p[0::2]) <= x + w and max(p[1::2]) >= y and min(p[1::2]) <= y + h
        for p in mask
    )


def _set_area(one: dict, told: Counter) -> None:
    """Compute an area that is missing or 0, of the mask or else of the box."""
    area = _numbers([one.get('area')], 1)
    if area and area[0] > 0:
        return
    computed = _area_of(one['segmentation']) if 'segmentation' in one else 0
    one['area'] = float(computed or one['bbox'][2] * one['bbox'][3])
    told['areas computed'] += 1


def _box_of(mask: list | dict) -> list[float]:
    if isinstance(mask, dict):
        return mask_utils.toBbox(_compressed(mask)).tolist()
    points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in mask])
    low, high = points.min(0), points.max(0)
    return [*low.tolist(), *(high - low).tolist()]


def _area_of(mask: list | dict) -> float:
    if isinstance(mask, dict):
        return float(mask_utils.area(_compressed(mask)))
    return sum(_polygon_area(np.reshape(polygon, (-1, 2))) for polygon in mask)


def _polygon_area(points: np.ndarray) -> float:
    """The shoelace formula."""
    x, y = points.T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def _compressed(mask: dict) -> dict:
    return mask_utils.frPyObjects(mask, *mask['size']) if isinstance(mask['counts'], list) else mask


# Values


def _as_id(value: Any) -> int | str | None:
    """An id; numbers that are written as strings are numbers."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() else value
    return value if isinstance(value, (int, float)) else None


def _numbers(value: Any, count: int | None = None) -> list[float]:
    """The list if it holds finite numbers alone, ``count`` of them; else an empty one."""
    if not isinstance(value, list) or count not in (None, len(value)):
        return []
    kinds = (int, float)
    return value if all(isinstance(v, kinds) and math.isfinite(v) for v in value) else []


def _shorten(value: Any, most: int = 60) -> str:
    text = str(value)
    return text if len(text) <= most else f'{text[:most]}...'
