"""Precomputed VQ tokens, written by tools/dataset_converters/tokenize_dataset.py."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.utils.data import Dataset

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError

INDEX = 'settings.json'


@DATASETS.register_module()
class VQTokenDataset(Dataset):
    """Token ids of stored crops of images; each access picks one of an image's crops at random.

    A training step needs neither images nor the tokenizer's encoder, but sees only these crops. A
    sample is ``inputs``, int64 (N,), and ``data_samples`` with ``img_path`` and ``crop``. Set
    ``collate_fn=dict(type='default_collate')`` in the dataloader and
    ``data_preprocessor=dict(type='BaseDataPreprocessor')`` in the model.

    Args:
        data_root: Folder that tokenize_dataset.py wrote.

    Raises:
        UserError: The folder is not complete.
    """

    metainfo: dict = {}

    def __init__(self, data_root: str) -> None:
        self.folder = Path(data_root)
        self.index = read_index(self.folder)
        missing = [path.name for path in shard_paths(self.folder, self.index) if not path.is_file()]
        if missing:
            raise UserError(
                f'{data_root}: {len(missing)} shards are missing ({missing[0]}, ...): run '
                'tokenize_dataset.py again with the same settings to continue'
            )
        self._shards: dict[int, Any] = {}

    def __len__(self) -> int:
        return self.index['num_images']

    def __getitem__(self, index: int) -> dict:
        # Seeded by SeededDataset with the position.
        crop = np.random.randint(self.index['crops_per_image'])
        number, row = divmod(int(index), self.index['shard_size'])
        shard = self._shard(number)
        ids = torch.from_numpy(shard.get_slice('ids')[row, crop].astype(np.int64))
        # Fixed-length bytes, filled with zeros.
        path = shard.get_slice('paths')[row, crop].tobytes().rstrip(b'\0').decode()
        sample = BaseDataElement(metainfo={'img_path': path, 'crop': crop})
        return {'inputs': ids, 'data_samples': sample}

    def __getstate__(self) -> dict:
        """Workers open the files for themselves."""
        return {**self.__dict__, '_shards': {}}

    def check_model(self, model: nn.Module) -> None:
        """Refuse a model with another tokenizer or another number of tokens per image.

        Raises:
            UserError: Names the difference.
        """
        wanted = {'tokens_per_image': model.num_patches, **describe_tokenizer(model.tokenizer)}
        for key, value in wanted.items():
            if value != self.index[key]:
                raise UserError(
                    f'{self.folder / INDEX}: holds tokens of another tokenizer or size, with '
                    f'{key} {self.index[key]}, while the model has {value}: name the same file in '
                    'model.tokenizer.init_cfg, or run tokenize_dataset.py again'
                )

    def _shard(self, number: int) -> Any:
        if number not in self._shards:
            path = shard_paths(self.folder, self.index)[number]
            try:
                self._shards[number] = safe_open(path, framework='np')
            except SafetensorError as error:
                raise UserError(
                    f'{path} is broken ({error}): remove it and run tokenize_dataset.py again'
                ) from error
        return self._shards[number]


def describe_tokenizer(tokenizer: nn.Module) -> dict[str, Any]:
    """Identity of a tokenizer: its number of codes and the sha256 of its weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(f'{name} {tuple(tensor.shape)}'.encode())
        # float32, so that a copy of the weights in half precision differs.
        digest.update(tensor.cpu().float().contiguous().numpy().tobytes())
    return {'num_embeddings': tokenizer.num_embeddings, 'tokenizer_sha256': digest.hexdigest()}


def read_index(folder: Path) -> dict[str, Any]:
    """The settings of a folder of tokens."""
    return json.loads((folder / INDEX).read_text())


def shard_paths(folder: Path, index: dict[str, Any]) -> list[Path]:
    """The paths of all shards, existing or not."""
    count = -(-index['num_images'] // index['shard_size'])
    return [folder / f'shard_{number:05d}.safetensors' for number in range(count)]
