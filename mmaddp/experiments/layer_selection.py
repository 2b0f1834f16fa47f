"""Label-free selection of layers: alignment and uniformity over checkpoints (section 3.3)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from mmaddp.checkpoints import map_checkpoint
from mmaddp.diffusion import ImageNoise
from mmaddp.engine.data import GuardedDataset, limit_workers
from mmaddp.engine.runs import clear_errors
from mmaddp.evaluation.alignment import alignment, uniformity
from mmaddp.models.pretrainers import Pretrainer
from mmaddp.models.probing import average
from mmaddp.utils import UserError, write_text

from .figures import COLORS, add_grid, new_figure, save_figure
from .results import ResultsFolder, digest, markdown_table

TABLE_FILE, PLOT_FILE = 'alignment_uniformity.md', 'alignment_uniformity.png'
Metrics = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Selection:
    """What is measured at every checkpoint.

    Attributes:
        level: The noise level as the authors count: t = 1 .. T of DDPM, 1 .. 18 of EDM.
        layers: Names of layers; all when None.
        num_images: Size of a random part of the training images; all when None, as the authors do.
        seed: Of the noise and of the part.
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
    """Measure the layers of all checkpoints whose results are not there yet.

    Args:
        config: A pre-training config of an encoder of noised images. As in the authors' code, its
            training images are seen whole and without augmentation.
        checkpoints: Checkpoints of its training.
        selection: What to measure.
        work_dir: The results, a table and a figure, written after each checkpoint.
        batch_size: Images that the network sees at once; the metrics do not depend on it.
        num_workers: Processes that load images.
        device: Where the model runs; the GPU if there is one when None.

    Raises:
        UserError: The encoder takes no noise, a layer or the level does not exist, or config,
            checkpoints and images do not fit each other.
    """
    with clear_errors():
        model = MODELS.build(copy.deepcopy(config.model)).to(device or get_device()).eval()
        check_noised(model, config)
        layers = list(selection.layers or model.layers)
        model.encoder_module.last_of(layers)
        model.check_level(selection.level)
        for part in model.frozen_parts:  # such as the autoencoder of latents
            model.get_submodule(part).init_weights()
        images = training_images(config, model.img_size, selection)
        settings = {key: value for key, value in asdict(selection).items() if key != 'layers'}
        identity = {'config': digest(config.to_dict()), 'encoder': model.layers, **settings}
        folder = ResultsFolder(work_dir, identity)
        for path in map(Path, checkpoints):
            key = str(path.absolute())
            known = folder.get(key, {}).get('layers', {})
            if set(layers) <= known.keys():
                print(f'{path}: measured before', flush=True)
                continue
            model.encoder_module.load(path)
            loader = DataLoader(images, batch_size, num_workers=num_workers, collate_fn=list)
            batches = batches_of(model, track(limit_workers(loader), description=path.name))
            metrics = measure(model, batches, layers, selection)
            folder.add(key, {'step': training_step(path), 'layers': {**known, **metrics}})
            write_report(folder, model.layers)
    return trails_of(folder.results, model.layers)


def check_noised(model: Pretrainer, config: Config) -> None:
    """Refuse a model whose encoder sees clean images."""
    if not model.num_levels:
        raise UserError(
            f'{config.filename}: {type(model).__name__} encodes clean images, and alignment '
            '(equation 3) compares two noises of one image: take a config of configs/pretrain/ddae'
        )


def training_images(config: Config, img_size: int, selection: Selection) -> Subset:
    """The training images without augmentation, or a random part of them."""
    init_default_scope(config.get('default_scope') or 'mmaddp')
    settings = copy.deepcopy(config.train_dataloader.dataset)
    settings['pipeline'] = still_pipeline(settings.pipeline, img_size)
    dataset = GuardedDataset(settings, 'train_dataloader.dataset')
    count = selection.num_images or len(dataset)
    if not 2 <= count <= len(dataset):
        raise UserError(f'--num-images {count}: give 2 to {len(dataset)}, the training images')
    generator = torch.Generator().manual_seed(selection.seed)
    order = torch.randperm(len(dataset), generator=generator)
    return Subset(dataset, order[:count].sort().values.tolist())


def still_pipeline(pipeline: Sequence[dict], img_size: int) -> list[dict]:
    """How images are loaded and packed, with a resize and a central crop between."""
    names = [step['type'].rsplit('.', 1)[-1] for step in pipeline]
    loading = [step for step, name in zip(pipeline, names) if name.startswith('Load')]
    packing = [step for step, name in zip(pipeline, names) if name.startswith('Pack')]
    resize = dict(
        type='mmpretrain.ResizeEdge', scale=img_size, edge='short', interpolation='bicubic'
    )
    return [*loading, resize, dict(type='mmpretrain.CenterCrop', crop_size=img_size), *packing]


def batches_of(model: nn.Module, loader: Iterable[list[dict]]) -> Iterator[Tensor]:
    """Batches as the network sees them, (B, 3, H, W)."""
    for samples in loader:
        yield model.data_preprocessor(pseudo_collate(samples))['inputs']


@torch.no_grad()
def measure(
    model: Pretrainer,
    batches: Iterator[Tensor],
    layers: Sequence[str],
    selection: Selection,
) -> Metrics:
    """Alignment and uniformity of each layer.

    Every image is noised twice, by noise that depends on the seed and its index alone.
    """
    parts: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    first = 0
    for images in batches:
        x = model.encoder_inputs(images)
        noise = ImageNoise(selection.seed, range(first, first + len(images)))
        first += len(images)
        both = (
            model.forward_intermediates(x, layers, selection.level, noise.normal(x))
            for _ in range(2)
        )
        parts.append(tuple({layer: average(one[layer]) for layer in layers} for one in both))
    return {layer: metrics_of(*joined(parts, layer)) for layer in layers}


def joined(parts: Sequence[tuple], layer: str) -> tuple[Tensor, Tensor]:
    """The features of all images with either noise, (N, C) each."""
    one, other = (torch.cat([part[which][layer] for part in parts]) for which in range(2))
    return one, other


def metrics_of(one: Tensor, other: Tensor) -> dict[str, float]:
    """Both metrics of one layer, given its features with either noise."""
    # The mean over both noises, as in the authors' code.
    uniform = (uniformity(one) + uniformity(other)) / 2
    return {'alignment': alignment(one, other), 'uniformity': uniform}


def training_step(path: str | Path) -> int | None:
    """After how many iterations a checkpoint was written, if it says so."""
    meta = map_checkpoint(path).get('meta')
    return meta.get('iter') if isinstance(meta, dict) else None


class Point(NamedTuple):
    """One layer at one checkpoint."""

    layer: str
    step: str
    alignment: float
    uniformity: float

    @property
    def sum(self) -> float:
        """Both metrics with equal weights; the paper only says that both should be low."""
        return self.alignment + self.uniformity


# The points of each layer in the order of training.
Trails = dict[str, list[Point]]


def trails_of(results: dict[str, Any], layers: Sequence[str]) -> Trails:
    """The points of all layers that have any."""
    # Files without a step stay in the order in which they were given, at the end.
    ordered = sorted(results.items(), key=lambda item: item[1]['step'] or float('inf'))
    trails = {
        layer: [
            Point(layer, str(result['step'] or Path(key).stem), **result['layers'][layer])
            for key, result in ordered
            if layer in result['layers']
        ]
        for layer in layers
    }
    return {layer: points for layer, points in trails.items() if points}


def best_of(trails: Trails) -> Point:
    """The layer with the least sum at the last checkpoint."""
    return min((points[-1] for points in trails.values()), key=lambda point: point.sum)


def write_report(folder: ResultsFolder, layers: Sequence[str]) -> None:
    """Write the table and the figure of all results."""
    trails = trails_of(folder.results, layers)
    write_text(folder.path / TABLE_FILE, table_of(trails))
    save_figure(plot_trails(trails), folder.path / PLOT_FILE)


def table_of(trails: Trails) -> str:
    """A Markdown table of all points, and which layer is best at the end."""
    rows = [(*point, point.sum) for points in trails.values() for point in points]
    table = markdown_table(['layer', 'step', 'alignment', 'uniformity', 'sum'], rows)
    return f'{table}\n\nLeast sum at the last checkpoint: {best_of(trails).layer}\n'


def plot_trails(trails: Trails) -> Figure:
    """Figure 3: a dot for each checkpoint, larger at the end, joined in the order of training.

    Good layers lie at the lower left.
    """
    figure, (axis,) = new_figure(width=6.5, height=5)
    colors = colormaps[COLORS].resampled(max(len(trails), 2))
    for number, (layer, points) in enumerate(trails.items()):
        x, y = zip(*((point.alignment, point.uniformity) for point in points))
        axis.plot(x, y, color=colors(number), alpha=0.5, label=layer)
        sizes = [20 + 60 * index / max(len(points) - 1, 1) for index in range(len(points))]
        axis.scatter(x, y, sizes, color=colors(number))
    axis.set(xlabel='alignment', ylabel='uniformity')
    axis.legend(fontsize='small')
    add_grid(axis)
    return figure
