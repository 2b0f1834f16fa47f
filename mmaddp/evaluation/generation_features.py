"""What generated images are compared by: features of Inception-v3 and VGG-16."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional as tf

from mmaddp.checkpoints import read_checkpoint
from mmaddp.checkpoints.files import sha256
from mmaddp.engine.data import limit_workers
from mmaddp.utils import IMAGE_SUFFIXES, UserError

VGG_URL = 'https://download.pytorch.org/models/vgg16-397923af.pth'


class Features(NamedTuple):
    """Features of N images, float32, on the CPU.

    Attributes:
        pool: (N, 2048) of Inception's last pooling, which FID compares.
        logits: (N, 1008) of Inception without bias, of which the inception score is.
        manifold: (N, D), in whose space precision and recall look for neighbors.
    """

    pool: Tensor
    logits: Tensor
    manifold: Tensor


def torch_fidelity(module: str) -> ModuleType:
    """A module of torch-fidelity, an optional package.

    Raises:
        UserError: It is not installed.
    """
    try:
        return importlib.import_module(f'torch_fidelity.{module}')
    except ImportError as error:
        raise UserError(
            f'FID, inception score, precision and recall need torch-fidelity ({error}): '
            f'pip install torch-fidelity==0.4.0'
        ) from error


class FeatureNetworks:
    """The networks whose features generated images are compared by, from torch-fidelity.

    Inception-v3 is TensorFlow's of 2015, weights and resizing to 299 x 299 pixels included, which
    published FIDs are computed with.

    Args:
        weights: torch-fidelity's file of Inception's weights; None for its place in torch's cache,
            where it is downloaded to when it is not there yet.
        vgg_weights: torchvision's file of VGG-16's weights, whose second fully connected layer
            then gives the features for precision and recall (Kynkäänniemi et al., 2019); None for
            Inception's pooled ones, as ADM's evaluation has it (Dhariwal and Nichol, 2021).
        device: Where the networks run.

    Raises:
        UserError: torch-fidelity or a file is missing, or a file holds something else.
    """

    def __init__(
        self,
        weights: str | os.PathLike | None = None,
        vgg_weights: str | os.PathLike | None = None,
        device: str | torch.device = 'cpu',
    ) -> None:
        file = Path(weights) if weights else cached_inception_weights()
        self.device = torch.device(device)
        self.inception = load_network('inception-v3-compat', ('2048', 'logits_unbiased'), file)
        self.inception.to(self.device)
        self.name = f'inception-{sha256(file)[:8]}'
        self.vgg = None
        if vgg_weights:
            file = Path(vgg_weights)
            self.vgg = load_network('vgg16', ('fc2_relu',), file).to(self.device)
            self.name += f'_vgg16-{sha256(file)[:8]}'

    # A GPU's shortened float32 would move the third digit of small FIDs.
    @torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Features of images (N, 3, H, W), uint8, RGB."""
        images = images.to(self.device, non_blocking=True)
        pool, logits = (feature.cpu() for feature in self.inception(images))
        manifold = pool if self.vgg is None else self.vgg(images)[0].cpu()
        return Features(pool, logits, manifold)


def load_network(name: str, layers: Sequence[str], weights: Path) -> nn.Module:
    """Build a network of torch-fidelity's registry with weights from a file.

    Raises:
        UserError: The file is missing, or holds weights of another network.
    """
    if not weights.is_file():
        raise UserError(f'{weights}: no such file; download {weights_url(name)} and put it there')
    state = {k: v for k, v in read_checkpoint(weights).items() if isinstance(v, Tensor)}
    # torch-fidelity would execute what a file's pickle says; it gets the tensors alone.
    safe = io.BytesIO()
    torch.save(state, safe)
    safe.seek(0)
    network = torch_fidelity('registry').FEATURE_EXTRACTORS_REGISTRY[name]
    try:
        return network(name, list(layers), feature_extractor_weights_path=safe)
    except RuntimeError as error:
        raise UserError(
            f'{weights}: holds no weights of {name}; download {weights_url(name)}'
        ) from error


def weights_url(name: str) -> str:
    """Where the weights of a network of torch-fidelity's registry are published."""
    if name == 'vgg16':
        return VGG_URL
    return torch_fidelity('feature_extractor_inceptionv3').URL_INCEPTION_V3


def cached_inception_weights() -> Path:
    """Inception's weights in torch's cache, downloaded when they are not there.

    Raises:
        UserError: They are not there and cannot be downloaded; says where to put them.
    """
    url = weights_url('inception-v3-compat')
    file = Path(torch.hub.get_dir(), 'checkpoints', url.rsplit('/', 1)[1])
    if file.is_file():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(file), hash_prefix=file.stem.rsplit('-', 1)[1])
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"Inception's weights cannot be downloaded ({error}): fetch {url} where there is a "
            f'network, and put it to {file} or name it by --weights FILE'
        ) from error
    return file


class ImageFiles(Dataset):
    """Image files as uint8 RGB tensors (3, H, W), all of one size.

    Args:
        files: The images.
        crop: Side in pixels of the square that is cut from the center, the image's short side
            resized to it before (bicubic, antialiased); None for images as they are.

    Raises:
        UserError: From the constructor or from indexing: an image cannot be read, or, without
            ``crop``, differs in size from the first.
    """

    def __init__(self, files: Sequence[Path], crop: int | None = None) -> None:
        self.files, self.crop = list(files), crop
        self.size = tuple(self.read(0).shape[1:])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        image = self.read(index)
        if tuple(image.shape[1:]) != self.size:
            raise UserError(
                f'{self.files[index]} has {image.shape[1]} x {image.shape[2]} pixels, '
                f'{self.files[0]} has {self.size[0]} x {self.size[1]}: all images of a folder '
                f'must have one size; --reference-size cuts those of the reference'
            )
        return image

    def read(self, index: int) -> Tensor:
        """One image, cut to ``crop``, its size not looked at."""
        try:
            with Image.open(self.files[index]) as file:
                image = file.convert('RGB')
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(
                f'{self.files[index]}: cannot be decoded ({error}); mend or remove it'
            ) from error
        if self.crop:
            image = tf.resize(image, self.crop, tf.InterpolationMode.BICUBIC)
            image = tf.center_crop(image, self.crop)
        return tf.pil_to_tensor(image)


def find_images(folder: str | os.PathLike, deep: bool = False) -> list[Path]:
    """The image files of a folder in the order of their names.

    Args:
        folder: The folder.
        deep: Whether those of its sub-folders, such as class folders, are taken too.

    Raises:
        UserError: There is no such folder, or none of its files is an image.
    """
    folder = Path(folder).expanduser()
    # Path.rglob would not follow the links that class folders may be.
    walk = os.walk(folder, followlinks=True)
    found = sorted(
        Path(parent, name)
        for parent, _, names in (walk if deep else islice(walk, 1))
        for name in names
        if name.lower().endswith(IMAGE_SUFFIXES)
    )
    if not found:
        raise UserError(f'{folder}: no folder with images ({", ".join(IMAGE_SUFFIXES)})')
    return found


def extract_features(
    networks: FeatureNetworks,
    images: ImageFiles,
    batch_size: int = 64,
    num_workers: int = 2,
    label: str = 'features',
) -> Features:
    """Features of all images, with a progress bar on standard error.

    Args:
        networks: The networks.
        images: The images.
        batch_size: Images of a batch.
        num_workers: Processes that load images.
        label: What the progress bar says.
    """
    loader = limit_workers(DataLoader(images, batch_size, num_workers=num_workers))
    bar = track(loader, description=label, console=Console(stderr=True))
    return Features(*(torch.cat(parts) for parts in zip(*(networks(batch) for batch in bar))))
