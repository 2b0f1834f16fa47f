"""A bank of frozen features on disk: each pass of the encoder is made once."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mmaddp.utils import UserError, atomic_write, check_choice

from ..tokenizers import KLAutoencoder

DTYPES = {'float32': torch.float32, 'float16': torch.float16}


class FeatureBank:
    """Features of images by content: the encoder, what it sees, and the noise level.

    A file holds the layers of one image at one level, for memory mapping. Its name is a hash of the
    encoder's input, so a changed file or transform never gives stale features. Files appear whole
    or not at all, so several processes may share a bank.

    Args:
        path: Folder of all banks; each encoder has a folder of its own there.
        dtype: 'float32' gives the same bits as no bank; 'float16' takes half the space.
        views: Different crops of each training image, see :class:`mmaddp.engine.FixedViews`.
    """

    def __init__(self, path: str | Path, dtype: str = 'float32', views: int = 1) -> None:
        check_choice('bank.dtype', dtype, DTYPES)
        self.root, self.dtype, self.views = Path(path), DTYPES[dtype], views
        self.folder: Path | None = None

    def open(self, encoder: nn.Module, *settings: object) -> None:
        """Choose the folder of an encoder, by its tensors and by whatever changes its output."""
        digest = hashlib.blake2b(digest_size=12)
        digest.update(repr((str(self.dtype), *settings)).encode())
        for name, tensor in all_tensors(encoder):
            digest.update(name.encode())
            digest.update(to_bytes(tensor))
        self.folder = self.root / digest.hexdigest()

    def path(self, key: str, level: int | None) -> Path:
        """The file of an image at a level."""
        # Not all in one folder, which file systems dislike.
        return self.folder / key[:2] / f'{key}@{level or 0}.safetensors'

    def read(self, key: str, level: int | None, layers: Sequence[str]) -> dict[str, Tensor] | None:
        """Features (1, ...) of an image by layer; None if one is missing."""
        try:
            with safe_open(self.path(key, level), 'pt') as file:
                return {layer: file.get_tensor(layer).float() for layer in layers}
        except (FileNotFoundError, SafetensorError):
            return None

    def write(self, key: str, level: int | None, features: Mapping[str, Tensor]) -> None:
        """Keep the features (1, ...) of an image, in addition to those of other layers."""
        path = self.path(key, level)
        tensors = {name: self.stored(one) for name, one in features.items()}
        try:
            with safe_open(path, 'pt') as file:
                tensors = {**{name: file.get_tensor(name) for name in set(file.keys())}, **tensors}
        except (FileNotFoundError, SafetensorError):
            pass
        with atomic_write(path) as temporary:
            save_file(tensors, temporary)

    def stored(self, features: Tensor) -> Tensor:
        """Features as they are kept."""
        return features.detach().to('cpu', self.dtype).contiguous()

    def check_space(self, needed: int) -> str:
        """A line that tells what the bank takes.

        Args:
            needed: Bytes of all features.

        Raises:
            UserError: The disk has less left than the bank still needs.
        """
        there = sum(path.stat().st_size for path in self.folder.glob('*/*.safetensors'))
        self.root.mkdir(parents=True, exist_ok=True)
        free, missing = shutil.disk_usage(self.root).free, max(0, needed - there)
        line = (
            f'feature bank {self.folder}: {needed / 1e9:.2f} GB, of which {there / 1e9:.2f} GB are '
            f'there; the disk has {free / 1e9:.2f} GB left'
        )
        if missing > free:
            raise UserError(
                f'{line}: give fewer --layers or --levels, model.bank.dtype=float16, or a '
                'model.bank.path on another disk'
            )
        return line


def all_tensors(encoder: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Whatever its features depend on; ``state_dict()`` leaves out frozen parts."""
    yield from encoder.named_parameters()
    yield from encoder.named_buffers()
    for name, part in encoder.named_modules():
        autoencoder = getattr(part, 'autoencoder', None)
        if isinstance(autoencoder, KLAutoencoder):
            # Its network is not a submodule.
            for key, tensor in autoencoder.network[0].state_dict().items():
                yield f'{name}.autoencoder.{key}', tensor


def content_key(image: Tensor) -> str:
    """A hash of what an encoder sees of one image."""
    digest = hashlib.blake2b(repr(tuple(image.shape)).encode(), digest_size=16)
    digest.update(to_bytes(image))
    return digest.hexdigest()


def to_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor of any type."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return memoryview(flat.view(torch.uint8).numpy())
