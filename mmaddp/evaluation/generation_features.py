"""Features of Inception-v3 and VGG-16, or of an encoder, for the metrics of generated images."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Sequence
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
from mmaddp.datasets.image_files import (
    IMAGE_SUFFIXES,
    is_image,
    list_files,
    read_image,
    report_unused,
)
from mmaddp.engine.data import limit_workers
from mmaddp.models.backbones import BaseEncoder
from mmaddp.models.pixel_values import normalize
from mmaddp.utils import UserError


class Features(NamedTuple):
    """Features of N images, float32, on the CPU.

    Attributes:
        pool: (N, 2048), Inception's last pooling, for FID; (N, C) of an encoder.
        logits: (N, 1008), Inception's logits without bias, for the inception score; None of an
            encoder.
        manifold: (N, D), for precision and recall.
    """

    pool: Tensor
    logits: Tensor | None
    manifold: Tensor


def torch_fidelity(module: str) -> ModuleType:
    """A module of torch-fidelity, an optional package."""
    return importlib.import_module(f'torch_fidelity.{module}')


class FeatureNetworks:
    """The feature networks of torch-fidelity.

    Inception-v3 is TensorFlow's of 2015, with its weights and its resizing to 299 x 299 pixels, as
    for published FIDs.

    Args:
        weights: torch-fidelity's file of Inception's weights; None for the file in torch's cache,
            downloaded if necessary.
        vgg_weights: torchvision's file of VGG-16's weights, whose second fully connected layer
            gives the features for precision and recall (Kynkäänniemi et al., 2019). None for
            Inception's pooled features, as in ADM's evaluation (Dhariwal and Nichol, 2021).
        device: Device of the networks.

    Raises:
        ImportError: torch-fidelity is not installed.
        UserError: A file cannot be read.
        RuntimeError: A file holds weights of another network.
    """

    distance = 'fid'

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

    # TF32 would change the third digit of small FIDs.
    @torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Features of images (N, 3, H, W), uint8, RGB."""
        images = images.to(self.device, non_blocking=True)
        pool, logits = (feature.cpu() for feature in self.inception(images))
        manifold = pool if self.vgg is None else self.vgg(images)[0].cpu()
        return Features(pool, logits, manifold)


class EncoderFeatures:
    """Mean features of an encoder's layer, for a Fréchet distance in place of FID.

    Args:
        encoder: The encoder.
        layer: Name of the layer, such as 'block_3'.
        name: Name of the encoder and its weights.
        device: Device of the encoder.

    Raises:
        UserError: The encoder has no such layer.
    """

    distance = 'frechet_distance'

    def __init__(
        self, encoder: BaseEncoder, layer: str, name: str, device: str | torch.device = 'cpu'
    ) -> None:
        encoder.last_of([layer])
        self.encoder, self.layer = encoder.eval().to(device), layer
        self.device, self.name = torch.device(device), f'{name}_{layer}'

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Features of images (N, 3, H, W), uint8, RGB."""
        x = normalize(images.to(self.device) / 255, self.encoder)
        maps = self.encoder.forward_intermediates(x, [self.layer], self.encoder.time)
        pool = maps[self.layer].float().mean((2, 3)).cpu()
        return Features(pool, None, pool)


def load_network(name: str, layers: Sequence[str], weights: Path) -> nn.Module:
    """Build a network of torch-fidelity's registry with weights from a file."""
    state = {k: v for k, v in read_checkpoint(weights).items() if isinstance(v, Tensor)}
    # torch-fidelity would execute a file's pickle, so it gets the tensors alone.
    safe = io.BytesIO()
    torch.save(state, safe)
    safe.seek(0)
    network = torch_fidelity('registry').FEATURE_EXTRACTORS_REGISTRY[name]
    return network(name, list(layers), feature_extractor_weights_path=safe)


def cached_inception_weights() -> Path:
    """Inception's weights in torch's cache, downloaded if necessary.

    Raises:
        UserError: They cannot be downloaded; says where to put them.
    """
    url = torch_fidelity('feature_extractor_inceptionv3').URL_INCEPTION_V3
    file = Path(torch.hub.get_dir(), 'checkpoints', url.rsplit('/', 1)[1])
    if file.is_file():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(file), hash_prefix=file.stem.rsplit('-', 1)[1])
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"Inception's weights cannot be downloaded ({error}): fetch {url}, and save it as "
            f'{file} or give --weights FILE'
        ) from error
    return file


class ImageFiles(Dataset):
    """Image files as uint8 RGB tensors (3, H, W), all of one size.

    Args:
        files: The images.
        crop: Resize the short side to this many pixels (bilinear, antialiased) and crop the center,
            as MAGE's and ADDP's authors prepare ImageNet's validation images;
            None leaves images unchanged.

    Raises:
        UserError: An image cannot be read, or, without ``crop``, differs in size from the first.
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
        """One image of any size, cut to ``crop``."""
        image = Image.fromarray(read_image(self.files[index]))
        if self.crop:
            image = tf.resize(image, self.crop)  # bilinear
            image = tf.center_crop(image, self.crop)
        return tf.pil_to_tensor(image)


def find_images(folder: str | os.PathLike, deep: bool = False) -> list[Path]:
    """The image files of a folder in the order of their names.

    Args:
        folder: The folder.
        deep: Whether to search subfolders, such as class folders, too.

    Raises:
        UserError: There is no such folder, or it has no images.
    """
    folder = Path(folder).expanduser()
    files = list_files(folder) if folder.is_dir() else []
    found = [file for file in files if is_image(file) and (deep or '/' not in file)]
    if not found:
        raise UserError(f'{folder}: not a folder with images ({", ".join(IMAGE_SUFFIXES)})')
    if deep:
        report_unused(folder, [file for file in files if not is_image(file)], len(found))
    return [folder / file for file in found]


def extract_features(
    networks: FeatureNetworks | EncoderFeatures,
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
        label: Text of the progress bar.
    """
    loader = limit_workers(DataLoader(images, batch_size, num_workers=num_workers))
    bar = track(loader, description=label, console=Console(stderr=True))
    parts = zip(*(networks(batch) for batch in bar))
    return Features(*(None if part[0] is None else torch.cat(part) for part in parts))
