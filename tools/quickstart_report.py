"""The quickstart's page: curves, reconstructions, samples and detections."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmaddp.apis import load_pretrainer, reconstruct
from mmaddp.experiments.html_report import HtmlReport
from mmaddp.experiments.images import read_image, tile, write_png
from mmaddp.experiments.logs import plot_curves, read_scalars
from mmaddp.utils import UserError

METRICS = ('bbox_mAP', 'bbox_mAP_50', 'segm_mAP', 'segm_mAP_50')
SHOWN_IMAGES = 8
NUM_SAMPLES = 16


def write_report(
    work_dir: Path,
    environment: dict[str, str],
    pretraining: Sequence[Any],
    detectors: Sequence[str],
    seconds: float,
) -> Path:
    """Write ``report.html``, which needs no other file.

    Args:
        work_dir: The quickstart's folder.
        environment: Where the configs find images and checkpoints.
        pretraining: The trainings before the detectors, with ``name`` and ``config``.
        detectors: Folders of the detectors.
        seconds: How long everything took.
    """
    page = HtmlReport('mmaddp: from images to a detector')
    page.paragraph(f'Everything on this page was trained in {seconds / 60:.1f} minutes.')
    page.heading('Pre-training')
    for training in pretraining:
        curves = {training.name: read_scalars(work_dir / training.name)}
        page.image(plot_curves(curves, ['loss']), f'Loss of the {training.name}')
    reconstructions = plot_reconstructions(work_dir, environment, pretraining[-1])
    if reconstructions is not None:
        caption = 'Above: images that were not trained on. Below: what is left in their tokens'
        page.image(reconstructions, caption)
    grid = work_dir / f'samples/grid/first-{NUM_SAMPLES}.png'
    page.image(grid, 'Images that ADDP generated from nothing')
    page.heading('Detection')
    page.table(['detector', *METRICS], (metrics_row(work_dir, name) for name in detectors))
    curves = {name: read_scalars(work_dir / name) for name in detectors}
    page.image(plot_curves(curves, ['loss']), 'Loss of the detectors')
    found = sorted((work_dir / detectors[0] / 'images').rglob('*.jpg'))[:SHOWN_IMAGES]
    for path in found:
        page.image(path, f'{path.stem}: ground truth at the left, detections at the right')
    path = work_dir / 'report.html'
    page.write(path)
    return path


def metrics_row(work_dir: Path, name: str) -> list[str]:
    """A detector's line of the table."""
    metrics = json.loads((work_dir / name / 'test_metrics.json').read_text())
    return [name, *(f'{metrics.get(f"coco/{key}", 0.0):.3f}' for key in METRICS)]


def plot_reconstructions(work_dir: Path, environment: dict[str, str], addp: Any) -> Path | None:
    """Validation images, and below each what is left of it after the tokenizer.

    Returns:
        The file; None where no validation image can be read.
    """
    os.environ.update(environment)
    checkpoint = (work_dir / addp.name / 'last_checkpoint').read_text().strip()
    model = load_pretrainer(addp.config, checkpoint)
    side = model.cfg.model.encoder.img_size
    squares = validation_squares(Path(environment['COCO_DIR']), side)
    shown = list(islice(squares, SHOWN_IMAGES))
    if not shown:
        return None
    images = np.stack(shown)
    rows = np.concatenate([images, reconstruct(model, images)])
    path = work_dir / 'reconstructions.png'
    write_png(path, tile(rows, columns=len(images)))
    return path


def validation_squares(coco_dir: Path, side: int) -> Iterator[np.ndarray]:
    """The middles of the validation images that can be read, (side, side, 3) uint8 RGB."""
    annotations = json.loads((coco_dir / 'annotations/instances_val.json').read_text())
    for image in annotations['images']:
        with suppress(UserError):
            yield central_square(coco_dir / 'val' / image['file_name'], side)


def central_square(path: Path, side: int) -> np.ndarray:
    """The middle of an image, (side, side, 3) uint8 RGB."""
    image = read_image(path)
    height, width = image.shape[:2]
    size = min(height, width)
    top, left = (height - size) // 2, (width - size) // 2
    square = image[top : top + size, left : left + size]
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
