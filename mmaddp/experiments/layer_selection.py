"""Label-free selection of layers: alignment and uniformity over checkpoints (section 3.3)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from mmaddp.checkpoints import map_checkpoint
from mmaddp.diffusion import ImageNoise
from mmaddp.engine.data import GuardedDataset
from mmaddp.engine.explain import clear_errors
from mmaddp.evaluation.alignment import alignment, uniformity
from mmaddp.models.probing import ProbedEncoder, probed_encoder
from mmaddp.utils import UserError

from .layer_selection_results import SelectionResults

Metrics = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Selection:
    """What is measured at every checkpoint.

    Attributes:
        level: The noise level as the authors count: t = 1 .. T of DDPM, 1 .. 18 of EDM.
        layers: Names of layers; None for all of the encoder.
        num_images: A random part of the training images; None for all, as the authors take.
        seed: Of the noise and of the part.
    """

    level: int
    layers: Sequence[str] | None = None
    num_images: int | None = None
    seed: int = 0

    def settings(self) -> dict[str, Any]:
        """What may not change within one file of results."""
        return {key: value for key, value in asdict(self).items() if key != 'layers'}


def select_layers(
    config: Config,
    checkpoints: Sequence[str],
    selection: Selection,
    results: SelectionResults,
    batch_size: int = 128,
    num_workers: int = 2,
    device: str | torch.device | None = None,
) -> None:
    """Measure the layers of all checkpoints that ``results`` has not; written after each.

    Args:
        config: A pre-training config of an encoder that takes noised images. Its training images
            are seen whole and without augmentation, as the authors' code sees them.
        checkpoints: Checkpoints of its training.
        selection: What to measure.
        results: Where it goes.
        batch_size: Images that the network sees at once; the metrics do not depend on it.
        num_workers: Processes that load images.
        device: Where the model runs; the GPU where there is one when None.

    Raises:
        UserError: The encoder takes no noise, a layer or the level does not exist, or config,
            checkpoint and images do not fit each other.
    """
    device = device or get_device()
    for key in ('model', 'train_dataloader'):
        if key not in config:
            raise UserError(f'{config.filename}: has no {key}: take one of configs/pretrain/ddae')
    with clear_errors():
        model = MODELS.build(copy.deepcopy(config.model)).to(device).eval()
        encoder = noised_encoder(model, config)
        layers = chosen_layers(encoder, selection)
        images = training_images(config, model.img_size, selection)
        for path in checkpoints:
            if results.has(path, layers):
                print(f'{path}: measured before', flush=True)
                continue
            encoder.load(path)
            loader = DataLoader(images, batch_size, num_workers=num_workers, collate_fn=list)
            batches = batches_of(model, track(loader, description=Path(path).name))
            metrics = measure(encoder, batches, layers, selection)
            results.add(path, training_step(path), encoder.layers, metrics)


def noised_encoder(model: nn.Module, config: Config) -> ProbedEncoder:
    """The model's encoder, which must take noised images.

    Raises:
        UserError: It takes clean ones, or the model is no pre-trainer.
    """
    encoder = probed_encoder(model)
    if not encoder.num_levels:
        raise UserError(
            f'{config.filename}: {encoder.method} encodes clean images, and alignment (equation 3) '
            'compares two noises of one image: take a config of configs/pretrain/ddae'
        )
    return encoder


def chosen_layers(encoder: ProbedEncoder, selection: Selection) -> list[str]:
    """The layers that are asked for, all when None.

    Raises:
        UserError: One, or the level, does not exist.
    """
    layers = list(selection.layers or encoder.layers)
    encoder.check(layers, selection.level)
    return layers


def training_images(config: Config, img_size: int, selection: Selection) -> Subset:
    """The training images without augmentation, a random part of them where it is asked for.

    Raises:
        UserError: They are missing, or too few.
    """
    init_default_scope(config.get('default_scope') or 'mmaddp')
    settings = copy.deepcopy(config.train_dataloader.dataset)
    settings['pipeline'] = still_pipeline(settings.get('pipeline') or [], img_size)
    dataset = GuardedDataset(settings, 'train_dataloader.dataset')
    count = selection.num_images or len(dataset)
    if not 2 <= count <= len(dataset):
        raise UserError(f'--num-images {count}: give 2 to {len(dataset)}, the training images')
    generator = torch.Generator().manual_seed(selection.seed)
    order = torch.randperm(len(dataset), generator=generator)
    return Subset(dataset, order[:count].sort().values.tolist())


def still_pipeline(pipeline: Sequence[dict], img_size: int) -> list[dict]:
    """How images are loaded and packed, with a resize and a central crop between.

    Raises:
        UserError: The pipeline loads no images.
    """
    loading = [one for one in pipeline if one['type'].rsplit('.', 1)[-1].startswith('Load')]
    packing = [one for one in pipeline if one['type'].rsplit('.', 1)[-1].startswith('Pack')]
    if not packing:
        raise UserError('train_dataloader.dataset.pipeline: needs LoadImageFromFile … PackInputs')
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
    encoder: ProbedEncoder,
    batches: Iterator[Tensor],
    layers: Sequence[str],
    selection: Selection,
) -> Metrics:
    """Alignment and uniformity of each layer.

    Every image is noised twice, by noise that depends on the seed and its place alone. The
    uniformity is the mean of both noises', as in the authors' code.
    """
    parts: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    first = 0
    for images in batches:
        inputs = encoder.inputs(images)
        noise = ImageNoise(selection.seed, range(first, first + len(images)))
        first += len(images)
        one, other = (
            encoder.pooled(inputs, selection.level, noise.normal(inputs), layers) for _ in range(2)
        )
        parts.append((one, other))
    return {layer: metrics_of(*joined(parts, layer)) for layer in layers}


def joined(parts: Sequence[tuple], layer: str) -> tuple[Tensor, Tensor]:
    """The features of all images with either noise, (N, C) each."""
    one, other = (torch.cat([part[which][layer] for part in parts]) for which in range(2))
    return one, other


def metrics_of(one: Tensor, other: Tensor) -> dict[str, float]:
    """Both metrics of one layer, whose features with either noise are given."""
    uniform = (uniformity(one) + uniformity(other)) / 2
    return {'alignment': alignment(one, other), 'uniformity': uniform}


def training_step(path: str | Path) -> int | None:
    """After how many iterations a checkpoint was written, where it says so."""
    meta = map_checkpoint(path).get('meta')
    return meta.get('iter') if isinstance(meta, dict) else None
