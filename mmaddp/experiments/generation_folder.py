"""A folder of generated images, filled by any number of runs and processes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import barrier, get_dist_info
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from mmaddp.datasets.image_files import image_fault
from mmaddp.models.pretrainers import ImageGenerator, Start
from mmaddp.models.probing.bank import to_bytes
from mmaddp.utils import UserError, check_range

from .images import PathOrArray, read_images, tile, write_png
from .results import SETTINGS_FILE, ResultsFolder, digest
from .sampling import Batch, check_request, completion_start, read_masks, sample_batches


@dataclass(frozen=True)
class Completion:
    """A completion; see :func:`mmaddp.apis.inpaint`."""

    image: PathOrArray
    mask: PathOrArray
    keep_pixels: bool = False


def generate_folder(
    model: ImageGenerator,
    sampler: Any,
    folder: str | Path,
    num_images: int,
    seed: int = 0,
    batch_size: int = 16,
    *,
    completion: Completion | None = None,
    intermediate: bool = False,
    grid: int = 0,
) -> None:
    """Write ``000000.png`` and so on, skipping images that exist and are intact.

    Several processes share the work; the images do not depend on their number.

    Args:
        model: A model from :func:`mmaddp.apis.load_pretrainer`.
        sampler: A sampler of the model, see :meth:`ImageGenerator.sampler`.
        folder: Gets the images, and their settings in ``settings.json``.
        num_images: Total number of images in the folder.
        seed: Seed of all images.
        batch_size: Batch size of each process.
        completion: An image and its mask to complete; None generates whole images.
        intermediate: Write the views of each image's steps to ``steps/000000.png``.
        grid: Number of first images to tile into one image in ``grid/``.

    Raises:
        UserError: The folder has images of other settings or of another model.
    """
    check_range('num_images', num_images, 1)
    folder, (rank, processes) = Path(folder), get_dist_info()
    known = known_region(model, completion) if completion else None
    start = model.blank() if known is None else known.start(model)
    model.check_start(sampler, start.masked)
    check_request(seed, batch_size)
    if any(folder.glob('*.png')) and not (folder / SETTINGS_FILE).exists():
        raise UserError(f'{folder}: has images, but no {SETTINGS_FILE}: give another folder')
    settings = dict(sampler_type=type(sampler).__name__, **asdict(sampler))
    ResultsFolder(folder, {**fingerprint(model), 'seed': seed, **settings, **describe(known)})
    barrier()
    mine = range(rank, num_images, processes)
    todo = [index for index in mine if not is_done(folder, index, intermediate)]
    if rank == 0:
        print(f'{folder}: {len(mine) - len(todo)} of {len(mine)} images exist', flush=True)
    starts = start.repeat(len(todo))
    batches = sample_batches(model, starts, todo, sampler, seed, batch_size, intermediate)
    for batch in with_progress(batches if todo else iter(()), len(todo), rank == 0):
        images = batch.images if known is None else known.paste(batch.images)
        write_batch(folder, [todo[number] for number in batch.numbers], images, batch.views)
    barrier()
    if grid > 0 and rank == 0:
        write_grid(folder, min(grid, num_images))


@dataclass(frozen=True)
class Region:
    """An image (1, H, W, 3) uint8 and its mask (1, H, W) bool, True where to generate."""

    image: np.ndarray
    pixels: np.ndarray
    keep_pixels: bool

    def start(self, model: ImageGenerator) -> Start:
        """The start of its completion."""
        return completion_start(model, self.image, self.pixels, batch_size=1)

    def paste(self, images: np.ndarray) -> np.ndarray:
        """Restore the known pixels of generated images, if ``keep_pixels``."""
        if not self.keep_pixels:
            return images
        return np.where(self.pixels[..., None], images, self.image)


def known_region(model: ImageGenerator, completion: Completion) -> Region:
    """Read image and mask of a completion."""
    image = read_images(completion.image, model.side)
    return Region(image, read_masks(completion.mask, model, 1), completion.keep_pixels)


def describe(known: Region | None) -> dict[str, Any]:
    """The settings of a completion in ``settings.json``."""
    if known is None:
        return {'image': None, 'mask': None, 'keep_pixels': False}
    image, mask = (
        hashlib.sha256(values.tobytes()).hexdigest() for values in (known.image, known.pixels)
    )
    return {'image': image, 'mask': mask, 'keep_pixels': known.keep_pixels}


def fingerprint(model: ImageGenerator) -> dict[str, str]:
    """SHA-256 of the config and of the weights that decide what a model generates."""
    config = without(getattr(model, 'cfg', {}).get('model', {}), 'init_cfg', *model.training_parts)
    weights = hashlib.sha256()
    for name, tensor in sorted({**model.state_dict(), **model.frozen_state()}.items()):
        if name.partition('.')[0] not in model.training_parts:
            weights.update(name.encode())
            weights.update(to_bytes(tensor))
    return {'model': digest(config), 'weights': weights.hexdigest()}


def without(options: Any, *keys: str) -> Any:
    """Options of a model without the given keys, at any depth."""
    if isinstance(options, dict):
        return {k: without(v, *keys) for k, v in options.items() if k not in keys}
    return options


def is_done(folder: Path, index: int, intermediate: bool) -> bool:
    """Whether all files of an image exist and are intact."""
    wanted = [image_path(folder, index), *([steps_path(folder, index)] if intermediate else [])]
    return all(image_fault(path) is None for path in wanted)


def image_path(folder: Path, index: int) -> Path:
    """Path of an image."""
    return folder / f'{index:06d}.png'


def steps_path(folder: Path, index: int) -> Path:
    """Path of an image's steps."""
    return folder / 'steps' / f'{index:06d}.png'


def with_progress(batches: Iterator[Batch], total: int, shown: bool) -> Iterator[Batch]:
    """Yield the batches with a progress bar on standard error."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task('images', total=total)
        for batch in batches:
            yield batch
            progress.advance(task, len(batch.numbers))


def write_batch(
    folder: Path, indices: list[int], images: np.ndarray, views: np.ndarray | None
) -> None:
    """Write images, each after its steps."""
    for number, index in enumerate(indices):
        if views is not None:
            rows = views[number].swapaxes(0, 1)
            write_png(steps_path(folder, index), tile(np.concatenate(rows), rows.shape[1]))
        write_png(image_path(folder, index), images[number])


def write_grid(folder: Path, count: int) -> None:
    """Tile the first images of the folder into one."""
    images = read_images([image_path(folder, index) for index in range(count)])
    write_png(folder / 'grid' / f'first-{count}.png', tile(images))
