"""Label-free selection of layers: alignment and uniformity over checkpoints (section 3.3)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import MODELS
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from mmaddp.diffusion import ImageNoise
from mmaddp.engine.data import limit_workers
from mmaddp.engine.runs import clear_errors
from mmaddp.evaluation.alignment import alignment, uniformity
from mmaddp.models.pretrainers import Pretrainer
from mmaddp.models.probing import average
from mmaddp.utils import write_text
from mmaddp.zoo import located

from .figures import COLORS, add_grid, new_figure, save_figure
from .logs import iterations_of
from .results import ResultsFolder, digest, markdown_table
from .training_images import training_images

TABLE_FILE, PLOT_FILE = 'alignment_uniformity.md', 'alignment_uniformity.png'
Metrics = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Selection:
    """What to measure at every checkpoint.

    Attributes:
        level: Noise level as the authors count: t = 1 .. T of DDPM, 1 .. 18 of EDM.
        layers: Names of layers; all when None.
        num_images: Size of a random subset of the training images; all when None, as in the paper.
        seed: Seed of noise and subset.
    """

    level: int
    layers: Sequence[str] | None = None
    num_images: int | None = None
    seed: int = 0


def select_layers(
    config: Config,
    checkpoints: Sequence[str],
    selection: Selection,
    work_dir: str | Path,
    batch_size: int = 128,
    num_workers: int = 2,
    device: str | torch.device | None = None,
) -> Trails:
    """Measure the layers of all checkpoints without results.

    Args:
        config: A pre-training config of an encoder of noised images. As in the authors' code, its
            training images are not augmented.
        checkpoints: Checkpoints of its training.
        selection: What to measure.
        work_dir: Gets results, a table and a figure after each checkpoint.
        batch_size: Batch size; the metrics do not depend on it.
        num_workers: Processes that load images.
        device: Device of the model; the GPU if available when None.

    Raises:
        UserError: The level or a layer does not exist, or config, checkpoints and images do not
            fit each other.
    """
    with clear_errors():
        model = MODELS.build(copy.deepcopy(config.model)).to(device or get_device()).eval()
        layers = list(selection.layers or model.layers)
        model.encoder_module.last_of(layers)
        model.check_level(selection.level)
        for part in model.frozen_parts:  # such as the autoencoder of latents
            model.get_submodule(part).init_weights()
        images = training_images(config, model.img_size, selection.num_images, selection.seed)
        settings = {key: value for key, value in asdict(selection).items() if key != 'layers'}
        identity = {'config': digest(config.to_dict()), 'encoder': model.layers, **settings}
        folder = ResultsFolder(work_dir, identity)
        for path in map(located, checkpoints):
            key = str(path.absolute())
            known = folder.get(key, {}).get('layers', {})
            if set(layers) <= known.keys():
                print(f'{path}: already measured', flush=True)
                continue
            model.encoder_module.load(path)
            loader = DataLoader(images, batch_size, num_workers=num_workers, collate_fn=list)
            batches = track(limit_workers(loader), description=path.name)
            metrics = measure(model, batches, layers, selection)
            folder.add(key, {'step': iterations_of(path), 'layers': {**known, **metrics}})
            write_report(folder, model.layers)
    return trails_of(folder.results, model.layers)


@torch.no_grad()
def measure(
    model: Pretrainer,
    batches: Iterable[list[dict]],
    layers: Sequence[str],
    selection: Selection,
) -> Metrics:
    """Alignment and uniformity of each layer.

    Every image is noised twice, by noise that depends only on the seed and its index.
    """
    features: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    first = 0
    for samples in batches:
        images = model.data_preprocessor(pseudo_collate(samples))['inputs']
        x = model.encoder_inputs(images)
        noise = ImageNoise(selection.seed, range(first, first + len(images)))
        first += len(images)
        both = [
            model.forward_intermediates(x, layers, selection.level, noise.normal(x))
            for _ in range(2)
        ]
        for layer, parts in features.items():
            parts.append(torch.stack([average(maps[layer]) for maps in both]))  # (2, B, C)
    return {layer: metrics_of(*torch.cat(parts, 1)) for layer, parts in features.items()}


def metrics_of(one: Tensor, other: Tensor) -> dict[str, float]:
    """Both metrics of a layer, from its features (N, C) under two noises."""
    # The mean over both noises, as in the authors' code.
    uniform = (uniformity(one) + uniformity(other)) / 2
    return {'alignment': alignment(one, other), 'uniformity': uniform}


class Point(NamedTuple):
    """One layer at one checkpoint, the ``place``-th of the training."""

    layer: str
    step: str
    alignment: float
    uniformity: float
    place: int

    @property
    def sum(self) -> float:
        """Both metrics with equal weights; the paper only asks for both to be low."""
        return self.alignment + self.uniformity


# The points of each layer in the order of training.
Trails = dict[str, list[Point]]


def trails_of(results: dict[str, Any], layers: Sequence[str]) -> Trails:
    """The points of each measured layer."""
    # Checkpoints without a step come last, in the given order.
    ordered = sorted(results.items(), key=lambda item: item[1]['step'] or float('inf'))
    trails = {
        layer: [
            Point(layer, str(result['step'] or Path(key).stem), **result['layers'][layer], place=i)
            for i, (key, result) in enumerate(ordered)
            if layer in result['layers']
        ]
        for layer in layers
    }
    return {layer: points for layer, points in trails.items() if points}


def best_of(trails: Trails) -> Point:
    """The layer with the smallest sum at the last checkpoint, of those measured there."""
    ends = [points[-1] for points in trails.values()]
    last = max(point.place for point in ends)
    return min((point for point in ends if point.place == last), key=lambda point: point.sum)


def write_report(folder: ResultsFolder, layers: Sequence[str]) -> None:
    """Write the table and the figure of all results."""
    trails = trails_of(folder.results, layers)
    write_text(folder.path / TABLE_FILE, table_of(trails))
    save_figure(plot_trails(trails), folder.path / PLOT_FILE)


def table_of(trails: Trails) -> str:
    """A Markdown table of all points and the best layer."""
    rows = [(*point[:4], point.sum) for points in trails.values() for point in points]
    table = markdown_table(['layer', 'step', 'alignment', 'uniformity', 'sum'], rows)
    return f'{table}\n\nSmallest sum at the last checkpoint: {best_of(trails).layer}\n'


def plot_trails(trails: Trails) -> Figure:
    """Figure 3: a dot per checkpoint, growing and joined in the order of training.

    Good layers are at the lower left.
    """
    figure, (axis,) = new_figure(width=6.5, height=5)
    colors = colormaps[COLORS].resampled(max(len(trails), 2))
    for number, (layer, points) in enumerate(trails.items()):
        x, y = zip(*((point.alignment, point.uniformity) for point in points))
        axis.plot(x, y, color=colors(number), alpha=0.5, label=layer)
        # Dots grow with the training.
        sizes = [20 + 60 * index / max(len(points) - 1, 1) for index in range(len(points))]
        axis.scatter(x, y, sizes, color=colors(number))
    axis.set(xlabel='alignment', ylabel='uniformity')
    axis.legend(fontsize='small')
    add_grid(axis)
    return figure
