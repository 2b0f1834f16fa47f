"""The report of the quickstart: detections and pre-training on one page."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mmaddp.utils import UserError

if TYPE_CHECKING:
    from mmaddp.experiments.html_report import HtmlReport

METRICS = {
    'bbox_mAP': 'box AP',
    'bbox_mAP_50': 'box AP50',
    'segm_mAP': 'mask AP',
    'segm_mAP_50': 'mask AP50',
}
SHOWN_IMAGES = 8
NUM_SAMPLES = 16
TRAINED_ADDP = 'zoo://addp-toy'
# What is probed, by folder; the figure is of the first.
PROBES = {'probe': 'zoo://ddae-toy', 'probe_random': 'random'}


def write_report(
    work_dir: Path,
    environment: dict[str, str],
    addp: str,
    detectors: Mapping[str, str],
    command: str,
    seconds: float,
) -> Path:
    """Write ``report.html``, a self-contained page.

    Args:
        work_dir: The quickstart's folder.
        environment: Where the configs find images and checkpoints.
        addp: Config of the pre-training.
        detectors: What each detector starts from, by its folder.
        command: How to train at full size.
        seconds: How long everything took.
    """
    from mmaddp.experiments.html_report import HtmlReport

    page = HtmlReport('mmaddp: from a pre-trained encoder to a detector')
    page.paragraph(
        f'Everything on this page was computed in {seconds / 60:.0f} minutes. The encoders come '
        'with the package. Two CPU cores pre-trained them on photographs, without labels.'
    )
    add_detection(page, work_dir, detectors)
    add_pretraining(page, work_dir, environment, addp)
    add_probe(page, work_dir)
    page.heading('The same at full size')
    page.paragraph("From the authors' checkpoint, on eight GPUs:")
    page.code(command)
    path = work_dir / 'report.html'
    page.write(path)
    return path


def add_detection(page: HtmlReport, work_dir: Path, detectors: Mapping[str, str]) -> None:
    """The detectors' metrics, losses and detections."""
    from mmaddp.experiments.logs import plot_curves, read_scalars

    page.heading('Detection')
    page.paragraph(
        'Two Mask R-CNNs with the same data, steps and seed. Only the start of their encoders '
        'differs. One pair is one seed; docs/benchmarks.md has three seeds on drawn shapes.'
    )
    rows = ([title, *metrics_of(work_dir / name)] for name, title in detectors.items())
    page.table(['Encoder starts from', *METRICS.values()], rows)
    triples = detections_beside(work_dir, list(detectors))
    page.images(['ground truth', *detectors.values()], islice(triples, SHOWN_IMAGES))
    curves = {title: read_scalars(work_dir / name) for name, title in detectors.items()}
    page.image(plot_curves(curves, ['loss']), 'Loss of the detectors')


def add_pretraining(
    page: HtmlReport, work_dir: Path, environment: dict[str, str], config: str
) -> None:
    """ADDP's loss, reconstructions, completions and samples."""
    from mmaddp.experiments.images import read_image, write_png
    from mmaddp.experiments.logs import plot_curves, read_scalars

    page.heading('Pre-training')
    page.paragraph(
        f'{TRAINED_ADDP} was pre-trained on photographs for 45 minutes. Here its pre-training '
        'continues on these images, without labels. An image becomes 64 tokens, one for 8 x 8 '
        'pixels. ADDP restores the masked ones.'
    )
    curves = {'ADDP': read_scalars(work_dir / 'addp')}
    page.image(plot_curves(curves, ['loss']), 'Loss of ADDP')
    restored = plot_restored(work_dir, environment, config)
    if restored is not None:
        page.image(
            restored,
            'Rows: validation images, the same from their tokens, lower halves removed, completed '
            f'by {TRAINED_ADDP}, and completed by it after the steps above',
        )
    samples = read_image(work_dir / f'samples/grid/first-{NUM_SAMPLES}.png')
    path = work_dir / 'samples.png'
    write_png(path, enlarge(samples))
    page.image(path, f'Images that {TRAINED_ADDP} generated')


def add_probe(page: HtmlReport, work_dir: Path) -> None:
    """The heat map of the probed encoder, and its best cell beside that of random weights."""
    page.heading('Which layer, which noise level?')
    page.paragraph(
        'The features of a diffusion model depend on the block and on the noise in its input. A '
        'linear head for each combination classifies the pixels of drawn rooms. All heads train '
        f'at once, for a minute, on the frozen {PROBES["probe"]}.'
    )
    page.image(work_dir / 'probe/grid.png', 'Segmentation by block and noise level')
    rows = ([weights, best_of(work_dir / name)] for name, weights in PROBES.items())
    page.table(['Weights', 'mIoU of the best cell (%)'], rows)


def best_of(work_dir: Path) -> str:
    """The best score of a probe."""
    return f'{json.loads((work_dir / "best_cell.json").read_text())["metrics"]["mIoU"]:.1f}'


def metrics_of(work_dir: Path) -> list[str]:
    """The metrics of a tested detector."""
    metrics = json.loads((work_dir / 'test_metrics.json').read_text())
    # If nothing was detected, COCO's evaluation returns no metrics.
    return [f'{metrics.get(f"coco/{key}", 0.0):.3f}' for key in METRICS]


def detections_beside(work_dir: Path, detectors: Sequence[str]) -> Iterator[list[Path]]:
    """Files of an image's ground truth and of each detector's detections."""
    from mmaddp.experiments.images import read_image, write_png

    folders = [work_dir / name / 'images' for name in detectors]
    for path in sorted(folders[0].rglob('*.jpg')):
        drawn = [read_image(folder / path.relative_to(folders[0])) for folder in folders]
        # MMDetection draws the ground truth on the left, the detections on the right.
        middle = drawn[0].shape[1] // 2
        parts = [drawn[0][:, :middle], *(image[:, middle:] for image in drawn)]
        files = [work_dir / f'beside/{path.stem}_{i}.png' for i in range(len(parts))]
        for file, part in zip(files, parts):
            write_png(file, part)
        yield files


def plot_restored(work_dir: Path, environment: dict[str, str], config: str) -> Path | None:
    """Plot validation images, reconstructions, and completions of their lower halves.

    Returns:
        The file, or None if no validation image can be read.
    """
    from mmaddp import apis
    from mmaddp.experiments.images import tile, write_png

    os.environ.update(environment)
    checkpoint = (work_dir / 'addp/last_checkpoint').read_text().strip()
    models = [apis.load_pretrainer(config, file) for file in (TRAINED_ADDP, checkpoint)]
    squares = validation_squares(Path(environment['COCO_DIR']), models[0].side)
    shown = list(islice(squares, SHOWN_IMAGES))
    if not shown:
        return None
    images = np.stack(shown)
    mask = np.zeros(images.shape[1:3], bool)
    mask[len(mask) // 2 :] = True
    rows = [images, apis.reconstruct(models[0], images), np.where(mask[..., None], 0, images)]
    rows += [apis.inpaint(model, images, mask, steps=16) for model in models]
    path = work_dir / 'restored.png'
    write_png(path, enlarge(tile(np.concatenate(rows), columns=len(images))))
    return path


def enlarge(image: np.ndarray, times: int = 2) -> np.ndarray:
    """Repeat pixels, so that browsers show small images as they are."""
    return image.repeat(times, axis=0).repeat(times, axis=1)


def validation_squares(coco_dir: Path, side: int) -> Iterator[np.ndarray]:
    """Center crops of all readable validation images, (side, side, 3) uint8 RGB."""
    annotations = json.loads((coco_dir / 'annotations/instances_val.json').read_text())
    for image in annotations['images']:
        with suppress(UserError):
            yield central_square(coco_dir / 'val' / image['file_name'], side)


def central_square(path: Path, side: int) -> np.ndarray:
    """The resized center crop of an image, (side, side, 3) uint8 RGB."""
    from mmaddp.experiments.images import read_image

    image = read_image(path)
    height, width = image.shape[:2]
    size = min(height, width)
    top, left = (height - size) // 2, (width - size) // 2
    square = image[top : top + size, left : left + size]
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
