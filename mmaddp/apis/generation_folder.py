"""A folder of generated images, filled by any number of runs and processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from torch import nn

from mmaddp.engine.data import image_fault
from mmaddp.experiments.images import PathOrArray, read_images, tile, write_png
from mmaddp.utils import UserError, atomic_write

from .generators import ImageGenerator, Start, generator_of
from .sampling import Batch, check_request, completion_start, read_masks, sample

SETTINGS_FILE = 'settings.json'


@dataclass(frozen=True)
class Completion:
    """What is to be completed: see :func:`mmaddp.apis.inpaint` for the three."""

    image: PathOrArray
    mask: PathOrArray
    keep_pixels: bool = False


def generate_folder(
    model: nn.Module,
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
    """Write ``000000.png`` to the number of images; those that are there whole are passed over.

    Each process generates the images whose turn it is, so that all together give what one would.

    Args:
        model: What :func:`mmaddp.apis.load_pretrainer` gives.
        sampler: The settings, of the type that samples from this model.
        folder: Gets the images, and their settings in ``settings.json``.
        num_images: How many images it has in the end.
        seed: Seed of all images.
        batch_size: Images that are generated at once, in each process.
        completion: An image whose masked region every image completes; None generates all of it.
        intermediate: Write each image's steps to ``steps/000000.png``: ADDP's x_t above and its
            reliable tokens below (figure 8), DARL's image after each row of patches.
        grid: Write the first so many images as one picture to ``grid/``.

    Raises:
        UserError: The folder has images of other settings or of another model, or a setting is out
            of its range.
    """
    if num_images < 1:
        raise UserError(f'num_images={num_images}: must be 1 or more')
    folder, (rank, processes) = Path(folder), get_dist_info()
    generator = generator_of(model)
    known = known_region(generator, completion) if completion else None
    start = generator.blank() if known is None else known.start(generator)
    generator.check(sampler, start.masked)
    check_request(seed, batch_size)
    settings = {**fingerprint(model), 'seed': seed, **asdict(sampler), **describe(known)}
    agree_on_settings(folder, settings)
    barrier()
    mine = range(rank, num_images, processes)
    todo = [index for index in mine if not is_done(folder, index, intermediate)]
    if rank == 0:
        print(f'{folder}: {len(mine) - len(todo)} of {len(mine)} images are there', flush=True)
    starts = start.repeat(len(todo))
    batches = sample(generator, starts, todo, sampler, seed, batch_size, intermediate)
    for batch in with_progress(batches if todo else iter(()), len(todo), rank == 0):
        images = batch.images if known is None else known.paste(batch.images)
        write_batch(folder, [todo[place] for place in batch.places], images, batch.views)
    barrier()
    if grid > 0 and rank == 0:
        write_grid(folder, min(grid, num_images))


@dataclass(frozen=True)
class Region:
    """An image (1, H, W, 3) uint8 and where it is generated, (1, H, W) bool."""

    picture: np.ndarray
    pixels: np.ndarray
    keep_pixels: bool

    def start(self, generator: ImageGenerator) -> Start:
        """What its completion starts from."""
        return completion_start(generator, self.picture, self.pixels, batch_size=1)

    def paste(self, images: np.ndarray) -> np.ndarray:
        """Images with the given pixels back in their places, if that is wanted."""
        if not self.keep_pixels:
            return images
        return np.where(self.pixels[..., None], images, self.picture)


def known_region(generator: ImageGenerator, completion: Completion) -> Region:
    """Read what is to be completed."""
    picture = read_images(completion.image, generator.side)
    return Region(picture, read_masks(completion.mask, generator, 1), completion.keep_pixels)


def describe(known: Region | None) -> dict[str, Any]:
    """A region as ``settings.json`` has it."""
    if known is None:
        return {'image': None, 'mask': None, 'keep_pixels': False}
    image, mask = (
        hashlib.sha256(values.tobytes()).hexdigest() for values in (known.picture, known.pixels)
    )
    return {'image': image, 'mask': mask, 'keep_pixels': known.keep_pixels}


def fingerprint(model: nn.Module) -> dict[str, str]:
    """SHA-256 of the config and of the weights that decide what a model generates."""
    options = getattr(model, 'cfg', {}).get('model', {})
    text = json.dumps(without_sources(options), sort_keys=True, default=str)
    digest = hashlib.sha256()
    for name, tensor in sorted({**model.state_dict(), **model.frozen_state()}.items()):
        if not name.startswith('token_predictor.'):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return {'model': hashlib.sha256(text.encode()).hexdigest(), 'weights': digest.hexdigest()}


def without_sources(options: Any) -> Any:
    """Options of a model without the paths of its weights and what only pre-training needs."""
    if isinstance(options, dict):
        left_out = ('init_cfg', 'token_predictor')
        return {k: without_sources(v) for k, v in options.items() if k not in left_out}
    return options


def agree_on_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new folder; refuse one that was begun with others."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        if any(folder.glob('*.png')):
            raise UserError(
                f'{folder}: has images, but no {SETTINGS_FILE} that says whose: give another folder'
            )
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(settings, indent=2) + '\n')
        return
    try:
        before = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        raise UserError(f'{path}: cannot be read; give another folder') from None
    differing = [name for name in settings if before.get(name) != settings[name]]
    if differing:
        told = ', '.join(difference(name, before.get(name), settings[name]) for name in differing)
        raise UserError(f'{folder}: its images have other settings ({told}): give another folder')


def difference(name: str, before: Any, now: Any) -> str:
    """A setting that differs, in words; hashes say nothing to a reader."""
    hashed = name in ('model', 'weights', 'image', 'mask')
    return f'another {name}' if hashed else f'{name} {before}, not {now}'


def is_done(folder: Path, index: int, intermediate: bool) -> bool:
    """Whether all files of an image are there and whole."""
    wanted = [image_path(folder, index), *([steps_path(folder, index)] if intermediate else [])]
    return all(image_fault(str(path)) is None for path in wanted)


def image_path(folder: Path, index: int) -> Path:
    """Where an image is."""
    return folder / f'{index:06d}.png'


def steps_path(folder: Path, index: int) -> Path:
    """Where the steps of an image are."""
    return folder / 'steps' / f'{index:06d}.png'


def with_progress(batches: Iterator[Batch], total: int, shown: bool) -> Iterator[Batch]:
    """Pass batches through, with a bar on standard error."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task('images', total=total)
        for batch in batches:
            yield batch
            progress.advance(task, len(batch.places))


def write_batch(
    folder: Path, indices: list[int], images: np.ndarray, views: np.ndarray | None
) -> None:
    """Write images, and before each its steps."""
    for number, index in enumerate(indices):
        if views is not None:
            rows = views[number].swapaxes(0, 1)
            write_png(steps_path(folder, index), tile(np.concatenate(rows), rows.shape[1]))
        write_png(image_path(folder, index), images[number])


def write_grid(folder: Path, count: int) -> None:
    """Write the first images of the folder as one picture."""
    images = read_images([image_path(folder, index) for index in range(count)])
    write_png(folder / 'grid' / f'first-{count}.png', tile(images))
