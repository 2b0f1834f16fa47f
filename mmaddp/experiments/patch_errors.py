"""Orders of patches, and how well each patch is predicted (figures 10 to 14 of DARL)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from rich.progress import track
from torch.utils.data import DataLoader

from mmaddp.engine.data import limit_workers
from mmaddp.models import DARL
from mmaddp.utils import UserError, write_json

from .figures import COLORS, new_figure, plot_lines, save_figure
from .results import read_json
from .training_images import training_images

RESULTS_FILE, ORDER_FILE = 'patch_errors.json', 'order.png'
MAP_FILE, CURVES_FILE = 'error_map.png', 'errors.png'
# Larger grids have no room for numbers.
MAX_NUMBERED = 16


@dataclass(frozen=True)
class PatchErrors:
    """The mean loss of each patch over many images.

    Attributes:
        grid: (h, w) in patches.
        order: Raster index of the k-th patch in the order of prediction.
        errors: Mean loss by raster index.
    """

    grid: Sequence[int]
    order: Sequence[int]
    errors: Sequence[float]

    @property
    def by_number(self) -> list[float]:
        """The errors in the order of prediction."""
        return [self.errors[index] for index in self.order]

    def write(self, folder: Path, beside: Sequence[Path] = ()) -> None:
        """Write the numbers, the map and the curve, with the curves of other folders."""
        write_json(folder / RESULTS_FILE, asdict(self))
        save_figure(plot_error_map(self), folder / MAP_FILE)
        results = {other.name: read_errors(other) for other in beside}
        save_figure(plot_errors({folder.name: self, **results}), folder / CURVES_FILE)


def read_errors(folder: Path) -> PatchErrors:
    """The results that :meth:`PatchErrors.write` left in a folder.

    Raises:
        UserError: There are none.
    """
    found = read_json(folder / RESULTS_FILE)
    if not found:
        raise UserError(f'{folder}: has no {RESULTS_FILE}: give the --work-dir of another call')
    return PatchErrors(**found)


def order_of(model: DARL) -> list[int]:
    """Raster indices in the model's order of prediction."""
    return model.backbone.sequence_order(model.grid).tolist()


@torch.no_grad()
def measure_patch_errors(
    model: DARL,
    config: Config,
    num_images: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
    num_workers: int = 2,
) -> PatchErrors:
    """The loss of each patch, given the true patches before it.

    Args:
        model: A trained model in evaluation mode.
        config: Its config. The images are those of ``train_dataloader``, not augmented.
        num_images: Size of a random subset of the images; all when None.
        seed: Seed of subset and noise.
        batch_size: Images per batch.
        num_workers: Processes that load images.
    """
    images = training_images(config, model.side, num_images, seed)
    loader = limit_workers(DataLoader(images, batch_size, num_workers=num_workers, collate_fn=list))
    total = torch.zeros(model.num_patches, dtype=torch.float64)
    torch.manual_seed(seed)
    for samples in track(loader, description='patch errors'):
        batch = model.data_preprocessor(pseudo_collate(samples))['inputs']
        total += model.patch_losses(batch).double().sum(0).cpu()
    return PatchErrors(list(model.grid), order_of(model), (total / len(images)).tolist())


def plot_order(grid: Sequence[int], order: Sequence[int]) -> Figure:
    """The order as numbers from 1, in large grids as a path (figures 11 and 13)."""
    numbers = np.empty(len(order), int)
    numbers[list(order)] = range(1, 1 + len(order))
    figure, (axis,) = new_figure(width=5.5, height=5.5)
    show_grid(axis, numbers.reshape(grid))
    rows, columns = np.divmod(order, grid[1])
    if max(grid) > MAX_NUMBERED:
        axis.plot(columns, rows, color='white', alpha=0.5, lw=1)
        return figure
    for number, place in enumerate(zip(columns, rows), start=1):
        # Late patches are light.
        color = 'white' if number < 0.6 * len(order) else 'black'
        axis.text(*place, number, ha='center', va='center', size=8, color=color)
    return figure


def plot_error_map(results: PatchErrors) -> Figure:
    """The error at each place of the image (figures 12 and 14)."""
    figure, (axis,) = new_figure(width=5.5, height=4.5)
    image = show_grid(axis, np.reshape(results.errors, results.grid))
    figure.colorbar(image, label='mean loss')
    return figure


def show_grid(axis: Axes, values: np.ndarray) -> object:
    """Values (h, w) as colors, the first row at the top, and no ticks."""
    axis.set_xticks([])
    axis.set_yticks([])
    return axis.imshow(values, cmap=COLORS)


def plot_errors(results: Mapping[str, PatchErrors]) -> Figure:
    """The error by the number of the patch in its order, a curve for each result (figure 10)."""
    figure, (axis,) = new_figure(width=6.5, height=4)
    curves = {name: list(enumerate(one.by_number, start=1)) for name, one in results.items()}
    plot_lines(axis, curves)
    axis.set(xlabel='patch in the order of prediction', ylabel='mean loss')
    return figure
