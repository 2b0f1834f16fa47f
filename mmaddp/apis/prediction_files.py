"""The folder of predictions: images for people, and COCO JSON, index PNGs or CSV for programs."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from PIL import Image

from mmaddp.datasets.image_files import TINY_SIDE
from mmaddp.utils import UserError, atomic_write, reason_of, write_json

# Labels are drawn into an image. A small one is enlarged, so that they can be read.
_LEGIBLE_SIDE = 224
_TOP = 5


class ImageFile(NamedTuple):
    """An image and the name of its results.

    Attributes:
        path: The file.
        name: Its path from the folder that was given, with ``/``.
        stem: The same without suffix, or with it where two images differ in nothing else.
    """

    path: Path
    name: str
    stem: str


class Prediction(NamedTuple):
    """What a model says of one image.

    Attributes:
        file: The image's file.
        image: (H, W, 3) uint8, BGR, as the model's pipeline read it.
        sample: OpenMMLab's data sample, with boxes and maps in pixels of ``image``.
    """

    file: ImageFile
    image: np.ndarray
    sample: BaseDataElement


def is_tiny(image: np.ndarray) -> bool:
    """Whether an image (H, W, 3) may be too small for anything."""
    return min(image.shape[:2]) < TINY_SIDE


class PredictionWriter(Protocol):
    """Writes the predictions of one task in a format that other programs read."""

    def add(self, prediction: Prediction) -> None:
        """Take one image's prediction."""

    def close(self) -> None:
        """Write what was collected."""


class PredictionFolder:
    """Writes predictions while they come.

    - ``vis/``: the images with what was predicted.
    - Detection: ``predictions.json``, a COCO file with images, categories, and annotations that
      also have a ``score``.
    - Segmentation: ``maps/``, PNGs whose pixels are class indices, in the colors of the classes,
      and ``classes.csv``.
    - Classification: ``predictions.csv``, the five classes of largest score of each image.

    Args:
        folder: The folder; files of the same name are replaced.
        visualizer: The library's, with names and colors of classes as ``dataset_meta``.
        score_thr: Smallest score of a box to be drawn.
    """

    def __init__(self, folder: str | Path, visualizer: Visualizer, score_thr: float = 0.3) -> None:
        self.folder, self.visualizer, self.score_thr = Path(folder), visualizer, score_thr
        self.classes = tuple(visualizer.dataset_meta['classes'])

    def record(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Write each prediction and pass it on."""
        writer: PredictionWriter | None = None
        try:
            for prediction in predictions:
                writer = writer or self.writer(prediction)
                writer.add(prediction)
                self.try_to_draw(prediction)
                yield prediction
        finally:
            if writer is not None:
                writer.close()

    def writer(self, prediction: Prediction) -> PredictionWriter:
        """What writes predictions of this kind."""
        if 'pred_instances' in prediction.sample:
            return CocoWriter(self.folder / 'predictions.json', self.classes)
        if 'pred_sem_seg' in prediction.sample:
            palette = self.visualizer.dataset_meta.get('palette')
            return MapWriter(self.folder, self.classes, palette)
        return ScoreWriter(self.folder / 'predictions.csv', self.classes)

    def try_to_draw(self, prediction: Prediction) -> None:
        """Draw a prediction, or warn that its image is too small to draw on."""
        try:
            self.draw(prediction)
        except UserError:
            raise
        except Exception as error:
            if not is_tiny(prediction.image):
                raise
            message = f'{prediction.file.path}: predicted, not drawn: {reason_of(error)}'
            print_log(message, 'current', logging.WARNING)

    def draw(self, prediction: Prediction) -> None:
        """Write an image with its prediction."""
        file, image, sample = prediction
        target = self.folder / 'vis' / f'{file.stem}.jpg'
        if target.resolve() == file.path.resolve():
            raise UserError(f'{target}: the image itself would be replaced: set another --out-dir')
        image, name, out = np.ascontiguousarray(image[..., ::-1]), file.name, str(target)
        if 'pred_instances' in sample:
            self.visualizer.add_datasample(
                name, image, sample, draw_gt=False, pred_score_thr=self.score_thr, out_file=out
            )
        elif 'pred_sem_seg' in sample:
            self.visualizer.add_datasample(name, image, sample, draw_gt=False, out_file=out)
        else:
            enlarged = _LEGIBLE_SIDE if min(image.shape[:2]) < _LEGIBLE_SIDE else None
            self.visualizer.visualize_cls(
                image, sample, self.classes, draw_gt=False, resize=enlarged, out_file=out
            )


class CocoWriter:
    """One COCO file of all images.

    Args:
        path: The JSON file.
        classes: Names of the classes.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self.path, self.classes = path, classes
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, prediction: Prediction) -> None:
        """Take the boxes and masks of an image, numbered from 1 as COCO's are."""
        height, width = prediction.image.shape[:2]
        image_id = len(self.images) + 1
        self.images.append(
            dict(id=image_id, file_name=prediction.file.name, width=width, height=height)
        )
        found = prediction.sample.pred_instances
        masks = found.get('masks', [None] * len(found))
        for box, label, score, mask in zip(found.bboxes, found.labels, found.scores, masks):
            left, top, right, bottom = (round(float(value), 2) for value in box)
            box = [left, top, round(right - left, 2), round(bottom - top, 2)]
            self.annotations.append(
                dict(
                    id=len(self.annotations) + 1,
                    image_id=image_id,
                    category_id=int(label) + 1,
                    bbox=box,
                    score=round(float(score), 5),
                    iscrowd=0,
                    **({'area': box[2] * box[3]} if mask is None else encode_mask(mask.numpy())),
                )
            )

    def close(self) -> None:
        """Write the file."""
        categories = [dict(id=number, name=name) for number, name in enumerate(self.classes, 1)]
        content = dict(images=self.images, categories=categories, annotations=self.annotations)
        write_json(self.path, content)


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """A boolean mask (H, W) as COCO's compressed run lengths with its area in pixels."""
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    counts = encoded['counts'].decode('ascii')
    return dict(segmentation=dict(size=encoded['size'], counts=counts), area=int(mask.sum()))


class MapWriter:
    """A PNG of class indices for each image.

    Args:
        folder: Where ``maps/`` and ``classes.csv`` go.
        classes: Names of the classes.
        palette: Their colors, RGB in [0, 255]; gray levels when None.
    """

    def __init__(
        self, folder: Path, classes: Sequence[str], palette: Sequence[Sequence[int]] | None
    ) -> None:
        self.folder, self.classes, self.palette = folder, classes, palette

    def add(self, prediction: Prediction) -> None:
        """Write the map of an image, of the image's size."""
        labels = prediction.sample.pred_sem_seg.data[0].numpy()
        if len(self.classes) > 256:
            image = Image.fromarray(labels.astype(np.uint16))
        else:
            image = Image.fromarray(labels.astype(np.uint8))
            if self.palette:
                image.putpalette([value for color in self.palette for value in color])
        target = self.folder / 'maps' / f'{prediction.file.stem}.png'
        with atomic_write(target) as path:
            image.save(path, format='PNG')

    def close(self) -> None:
        """Write the names of the indices."""
        write_rows(self.folder / 'classes.csv', [('index', 'name'), *enumerate(self.classes)])


class ScoreWriter:
    """One CSV file of all images.

    Args:
        path: The CSV file.
        classes: Names of the classes.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self.path, self.classes = path, classes
        self.rows: list[list] = []

    def add(self, prediction: Prediction) -> None:
        """Take the classes of an image, that of the largest score first."""
        scores, labels = prediction.sample.pred_score.sort(descending=True)
        row: list = [prediction.file.name]
        for score, label in zip(scores[:_TOP].tolist(), labels[:_TOP].tolist()):
            row += [self.classes[label], round(score, 5)]
        self.rows.append(row)

    def close(self) -> None:
        """Write the file."""
        count = max(len(row) for row in self.rows) // 2
        heads = (f'{kind}_{rank}' for rank in range(1, count + 1) for kind in ('class', 'score'))
        write_rows(self.path, [['file', *heads], *self.rows])


def write_rows(path: Path, rows: Iterable[Sequence]) -> None:
    """Write a CSV file."""
    with atomic_write(path) as target, open(target, 'w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows(rows)
