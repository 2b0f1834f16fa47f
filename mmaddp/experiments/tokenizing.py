"""VQ tokens of random crops of images, computed before the pre-training that reads them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.utils import ProgressBar
from safetensors.numpy import save_file
from torch.utils.data import DataLoader

from mmaddp.datasets.vq_tokens import describe_tokenizer, shard_paths
from mmaddp.engine.data import SeededDataset, limit_workers
from mmaddp.engine.resumption import PositionedIndex
from mmaddp.models.pixel_values import IMAGES_TO_UNIT_RANGE
from mmaddp.registry import MODELS
from mmaddp.utils import UserError, atomic_write

from .results import ResultsFolder, digest


def tokenize_dataset(
    config: Config,
    folder: str | Path,
    crops_per_image: int = 1,
    seed: int = 0,
    shard_size: int = 4096,
    batch_size: int = 32,
    num_workers: int = 2,
    rank: int = 0,
    world_size: int = 1,
) -> None:
    """Write the tokens of random crops of all training images.

    Crop k of image i is the output of the training pipeline with seed (``seed``, k, i). A shard
    holds ``shard_size`` images: ``ids`` (images, K, N) in the smallest integer type, ``paths``
    (images, K, bytes), and where the pipeline records them ``crop_boxes`` (images, K, 4) as (x, y,
    width, height) in pixels and ``flips`` (images, K). Complete shards of earlier calls are kept.

    Args:
        config: A pre-training config with ``model.tokenizer`` and ``train_dataloader.dataset``.
        folder: Folder of the shards and their settings.
        crops_per_image: K.
        seed: Seed of the crops.
        shard_size: Images per shard.
        batch_size: Crops per batch.
        num_workers: Processes that load images.
        rank: Index of this process; every ``world_size``-th shard is its own.
        world_size: Number of processes.

    Raises:
        UserError: The tokenizer has no weights, images are broken or of a size that is not a
            multiple of the tokenizer's stride, or ``folder`` was written with other settings.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    folder, dataset, encode = Path(folder), build_images(config, seed), TokenEncoder(config)
    settings = {
        **describe_tokenizer(encode.tokenizer),
        'tokens_per_image': encode([dataset[0]]).shape[1],
        'num_images': len(dataset),
        # Other images, or the same in another order, would get the tokens of these.
        'images_sha256': digest(
            [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
        ),
        'pipeline': config.train_dataloader.dataset.pipeline,
        'crops_per_image': crops_per_image,
        'seed': seed,
        'shard_size': shard_size,
    }
    ResultsFolder(folder, settings)
    paths = shard_paths(folder, settings)
    # Each process writes every world_size-th shard; finished ones stay.
    todo = [number for number in range(rank, len(paths), world_size) if not paths[number].is_file()]
    crops = [_crops_of_shard(settings, number) for number in todo]
    progress = ProgressBar(sum(map(len, crops))) if crops and rank == 0 else None
    for number, positions in zip(todo, crops):
        loader = DataLoader(
            dataset, batch_size, sampler=positions, num_workers=num_workers, collate_fn=list
        )
        limit_workers(loader)
        _write_shard(paths[number], _encoded(loader, encode, progress), crops_per_image)


def _encoded(
    loader: DataLoader, encode: TokenEncoder, progress: ProgressBar | None
) -> dict[str, np.ndarray]:
    """Tokens and records of all crops of a dataloader."""
    parts = []
    for samples in loader:
        parts.append({'ids': encode(samples), **_described(samples)})
        if progress:
            progress.update(len(samples))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def build_images(config: Config, seed: int) -> SeededDataset:
    """The training images of a config; each records its crop.

    Raises:
        UserError: The config trains on tokens, or its images are missing.
    """
    dataset = copy.deepcopy(config.train_dataloader.dataset)
    if not dataset.get('pipeline'):
        raise UserError(
            f'train_dataloader.dataset is a {dataset["type"]} without a pipeline: give the config '
            'that trains on the images themselves'
        )
    for transform in dataset['pipeline']:
        kind = transform['type'].rsplit('.', 1)[-1]
        if kind == 'RandomResizedCrop':
            # MMPretrain's, which also records the box.
            transform['type'] = 'mmaddp.RandomResizedCrop'
        elif kind == 'PackInputs':
            transform['meta_keys'] = ('img_path', 'crop_box', 'flip')
    source = 'train_dataloader.dataset'
    return SeededDataset(dataset, seed, source, bool(config.get('skip_corrupt_images')))


class TokenEncoder:
    """Encodes samples of a training dataset as the pre-training would.

    Args:
        config: A pre-training config.

    Raises:
        UserError: The tokenizer has no weights.
    """

    def __init__(self, config: Config) -> None:
        model = config.model
        if not model.tokenizer.get('init_cfg'):
            raise UserError('model.tokenizer has no weights: give --tokenizer FILE')
        self.tokenizer = MODELS.build(model.tokenizer)
        self.tokenizer.init_weights()
        self.tokenizer.to(get_device()).eval()
        preprocessor = model.get('data_preprocessor') or IMAGES_TO_UNIT_RANGE
        self.data_preprocessor = MODELS.build(preprocessor).to(get_device())

    @torch.no_grad()
    def __call__(self, samples: list[dict]) -> np.ndarray:
        """Token ids (B, N) in the smallest integer type."""
        inputs = self.data_preprocessor(pseudo_collate(samples))['inputs']
        ids = self.tokenizer.encode(inputs).cpu().numpy()
        # 1,024 codes fit uint16.
        return ids.astype(np.min_scalar_type(self.tokenizer.num_embeddings - 1))


def _crops_of_shard(settings: dict[str, Any], number: int) -> list[PositionedIndex]:
    first = number * settings['shard_size']
    images = range(first, min(first + settings['shard_size'], settings['num_images']))
    crops = range(settings['crops_per_image'])
    # A crop is a function of (seed, k, image): an interrupted conversion goes on alike.
    return [PositionedIndex(i, epoch=k, draw=i) for i in images for k in crops]


def _described(samples: list[dict]) -> dict[str, np.ndarray]:
    """Paths, crop boxes and flips of samples as arrays."""
    records = [sample['data_samples'] for sample in samples]
    described = {'paths': np.array([record.img_path.encode() for record in records])}
    for name, key, dtype in (('crop_boxes', 'crop_box', np.int32), ('flips', 'flip', bool)):
        if key in records[0]:
            described[name] = np.array([record.get(key) for record in records], dtype)
    return described


def _write_shard(path: Path, of_crops: dict[str, np.ndarray], crops_per_image: int) -> None:
    tensors = {
        # (images * crops, ...) -> (images, crops, ...)
        name: values.reshape(-1, crops_per_image, *values.shape[1:])
        for name, values in of_crops.items()
    }
    # Safetensors has no strings: store bytes padded with zeros.
    tensors['paths'] = tensors['paths'][..., None].view(np.uint8)
    # What a killed process left behind.
    for leftover in path.parent.glob(f'.{path.name}.*.tmp'):
        leftover.unlink()
    with atomic_write(path) as temporary:
        save_file(tensors, temporary)
