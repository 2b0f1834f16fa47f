"""Statistics of real images, computed once and cached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmaddp.utils import UserError, atomic_write

from .generation_features import (
    EncoderFeatures,
    FeatureNetworks,
    Features,
    ImageFiles,
    extract_features,
    find_images,
    torch_fidelity,
)


@dataclass(frozen=True)
class Gaussian:
    """Mean (D,) and covariance (D, D) of features, float64."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class ReferenceStatistics:
    """Statistics of a set of real images.

    Attributes:
        gaussian: Mean and covariance of Inception's pooled features.
        manifold: (N, D) features for precision and recall; None if unknown.
        num_images: N; None if unknown.
        size: Height and width of the images; None if unknown.
        networks: Name of the networks with their weights; None if unknown.
        file: The file of the statistics.
    """

    gaussian: Gaussian
    manifold: Tensor | None
    num_images: int | None
    size: tuple[int, int] | None
    networks: str | None
    file: Path


def fit_gaussian(features: Tensor) -> Gaussian:
    """Mean and unbiased covariance of features (N, D)."""
    # A float32 mean of 50,000 features would lose digits.
    statistics = torch_fidelity('metric_fid').fid_features_to_statistics(features.double())
    return Gaussian(statistics['mu'], statistics['sigma'])


def load_reference(
    path: str | os.PathLike,
    networks: FeatureNetworks | EncoderFeatures,
    cache_dir: str | os.PathLike,
    *,
    crop: int | None = None,
    min_images: int = 2,
    batch_size: int = 64,
    num_workers: int = 2,
) -> ReferenceStatistics:
    """Statistics of a folder of real images, or from a file.

    Args:
        path: A folder with its subfolders, or a .npz file: ours, or one with ``mu`` and ``sigma``
            of Inception's pooled features, as pytorch-fid and ADM publish them.
        networks: The feature networks.
        cache_dir: Folder for the statistics. They are computed anew when the images, ``crop`` or
            the networks have changed.
        crop: As for :class:`ImageFiles`; has no effect on a file.
        min_images: Smallest number of images of a folder.
        batch_size: Images of a batch.
        num_workers: Processes that load images.

    Raises:
        UserError: The folder or its images are unusable, or the file is of other networks.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return read_statistics(path, networks.name)
    files = find_images(path, deep=True)
    if len(files) < min_images:
        raise UserError(
            f'{path}: {len(files)} images; a reference needs {min_images} or more, and published '
            f'figures have tens of thousands'
        )
    # Other images, sizes or weights give another name, and so are computed anew.
    kept = Path(cache_dir, f'{path.resolve().name}-{fingerprint(path, files, crop, networks)}.npz')
    if not kept.is_file():
        images = ImageFiles(files, crop)
        features = extract_features(networks, images, batch_size, num_workers, 'reference')
        write_statistics(kept, features, images.size, networks.name)
    return read_statistics(kept, networks.name)


def fingerprint(
    folder: Path,
    files: Sequence[Path],
    crop: int | None,
    networks: FeatureNetworks | EncoderFeatures,
) -> str:
    """A hash of the files, their treatment and the networks."""
    listing = [(str(file.relative_to(folder)), *_stamp(file)) for file in files]
    text = json.dumps([listing, crop, 'bilinear', networks.name])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    # Reading 50,000 images to hash them would take as long as their features.
    return status.st_size, status.st_mtime_ns


def write_statistics(path: Path, features: Features, size: tuple[int, int], networks: str) -> None:
    """Write the statistics of real images to a .npz file, atomically."""
    gaussian = fit_gaussian(features.pool)
    with atomic_write(path) as temporary, open(temporary, 'wb') as file:
        np.savez(
            file,
            mu=gaussian.mean,
            sigma=gaussian.covariance,
            manifold=features.manifold.numpy(),
            size=np.array(size),
            networks=np.array(networks),
        )


def read_statistics(path: Path, networks: str) -> ReferenceStatistics:
    """Read a .npz file of statistics, without executing anything from it.

    Args:
        path: The file.
        networks: Name of the networks in use; a file that names others is refused.

    Raises:
        UserError: The file cannot be read, or is of other networks.
    """
    try:
        # A pickle inside could run code; published files hold plain arrays.
        with np.load(path, allow_pickle=False) as kept:
            wanted = ('mu', 'sigma', 'manifold', 'size', 'networks')
            content = {name: kept[name] for name in wanted if name in kept}
        gaussian = Gaussian(content['mu'].astype(float), content['sigma'].astype(float))
    except Exception as error:  # damaged files raise errors of many types
        raise UserError(
            f'{path}: no statistics of images ({error}): name a folder of images, or a .npz file '
            f'with mu and sigma'
        ) from error
    known = str(content['networks']) if 'networks' in content else None
    if known not in (None, networks):
        raise UserError(
            f'{path}: statistics of {known}, but the weights given are {networks}: name the folder '
            f'of images instead, or give the same weights'
        )
    manifold = torch.from_numpy(content['manifold']) if 'manifold' in content else None
    return ReferenceStatistics(
        gaussian,
        manifold,
        None if manifold is None else len(manifold),
        tuple(content['size'].tolist()) if 'size' in content else None,
        known,
        path,
    )
