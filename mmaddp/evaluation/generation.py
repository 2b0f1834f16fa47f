"""FID, inception score, precision and recall of generated images, by torch-fidelity."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from mmaddp.utils import UserError

from .generation_features import (
    EncoderFeatures,
    FeatureNetworks,
    Features,
    ImageFiles,
    extract_features,
    find_images,
    torch_fidelity,
)
from .generation_reference import Gaussian, ReferenceStatistics, fit_gaussian, load_reference

SPLITS = 10
NEIGHBORS = 3


class GenerationMetrics:
    """Metrics of folders of generated images against one set of real images.

    Args:
        reference: Folder of real images, or a .npz file of their statistics; see
            :func:`load_reference`.
        weights: Inception's weights; see :class:`FeatureNetworks`.
        vgg_weights: VGG-16's weights for precision and recall; see :class:`FeatureNetworks`.
        networks: Other feature networks, :class:`EncoderFeatures`, instead of these.
        cache_dir: Where the reference's statistics are kept.
        reference_size: Resize the short side of each real image to this many pixels and crop the
            center; None leaves images unchanged.
        batch_size: Images of a batch.
        num_workers: Processes that load images.
        device: Device of the networks and distances.

    Raises:
        ImportError: torch-fidelity is not installed.
        UserError: Weights or the reference are missing or unusable.
    """

    def __init__(
        self,
        reference: str | os.PathLike,
        *,
        weights: str | os.PathLike | None = None,
        vgg_weights: str | os.PathLike | None = None,
        networks: EncoderFeatures | None = None,
        cache_dir: str | os.PathLike = 'work_dirs/reference_statistics',
        reference_size: int | None = None,
        batch_size: int = 64,
        num_workers: int = 2,
        device: str | torch.device = 'cpu',
    ) -> None:
        self.device = torch.device(device)
        self.loading = (batch_size, num_workers)
        self.networks = networks or FeatureNetworks(weights, vgg_weights, device)
        self.reference: ReferenceStatistics = load_reference(
            reference,
            self.networks,
            cache_dir,
            crop=reference_size,
            min_images=NEIGHBORS + 1,
            batch_size=batch_size,
            num_workers=num_workers,
        )

    def __call__(
        self, folder: str | os.PathLike, num_images: int | None = None
    ) -> dict[str, float | int | None]:
        """Measure the images of a folder, without those of its subfolders.

        Args:
            folder: The folder.
            num_images: Number of images to take in the order of their names; None for all.

        Returns:
            ``fid``, or ``frechet_distance`` in features of an encoder; ``inception_score`` and
            ``inception_score_std``, mean and std over 10 splits, None for an encoder;
            ``precision`` and ``recall`` in [0, 1], None if the reference has only mean and
            covariance; ``num_images`` and ``num_reference``.

        Raises:
            UserError: There are too few images, or they differ in size from each other or from the
                reference.
        """
        files = find_images(folder)
        check_number(folder, len(files), num_images)
        images = ImageFiles(files[:num_images])
        self.check_size(images.size, folder)
        features = extract_features(self.networks, images, *self.loading, label=Path(folder).name)
        return {**self.measure(features), 'num_images': len(images)}

    def measure(self, features: Features) -> dict[str, float | int | None]:
        """All metrics of features of generated images."""
        score, std = None, None
        if features.logits is not None:
            score, std = inception_score(features.logits)
        precision, recall = None, None
        # Published statistics of a Gaussian leave precision and recall unknown.
        if self.reference.manifold is not None:
            precision, recall = precision_recall(
                features.manifold.to(self.device), self.reference.manifold.to(self.device)
            )
        distance = frechet_distance(fit_gaussian(features.pool), self.reference.gaussian)
        return {
            self.networks.distance: distance,
            'inception_score': score,
            'inception_score_std': std,
            'precision': precision,
            'recall': recall,
            'num_reference': self.reference.num_images,
        }

    def check_size(self, size: tuple[int, int], source: object) -> None:
        """Refuse images whose height and width are not those of the reference."""
        known = self.reference.size
        if known not in (None, size):
            raise UserError(
                f'{source}: images of {size[0]} x {size[1]} pixels, those of the reference have '
                f'{known[0]} x {known[1]}: give --reference-size {min(size)}'
            )


def check_number(source: object, found: int, wanted: int | None = None) -> None:
    """Refuse fewer images than asked for, or than the metrics need."""
    # An image is not its own neighbor, hence one more.
    needed = max(SPLITS, NEIGHBORS + 1, wanted or 0)
    measured = min(found, wanted or found)
    if measured < needed:
        raise UserError(
            f'{source}: {measured} images, {needed} or more are needed; the inception score has '
            f'{SPLITS} splits'
        )


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Fréchet distance of two Gaussians, the FID for those of Inception's pooled features.

    ``|mean_1 - mean_2|^2 + tr(cov_1 + cov_2 - 2 (cov_1 cov_2)^(1/2))`` (Heusel et al., 2017).

    Raises:
        UserError: They have different dimensions.
    """
    if first.mean.shape != second.mean.shape:
        raise UserError(
            f'the reference has statistics of {len(second.mean)} features, the generated images '
            f'have {len(first.mean)}: name a folder of images as the reference'
        )
    statistics = [{'mu': one.mean, 'sigma': one.covariance} for one in (first, second)]
    metric = torch_fidelity('metric_fid').fid_statistics_to_metric(*statistics, verbose=False)
    return metric['frechet_inception_distance']


def inception_score(logits: Tensor) -> tuple[float, float]:
    """Mean and std over 10 splits of ``exp E KL(p(y|x) || p(y))`` (Salimans et al., 2016).

    Args:
        logits: (N, classes), shuffled with a fixed seed before splitting.
    """
    # p(y|x) comes from logits without bias, as in TensorFlow's network.
    metric = torch_fidelity('metric_isc').isc_features_to_metric(logits, splits=SPLITS)
    return metric['inception_score_mean'], metric['inception_score_std']


def precision_recall(generated: Tensor, real: Tensor) -> tuple[float, float]:
    """Precision and recall of generated images (Kynkäänniemi et al., 2019), neighborhood 3.

    Args:
        generated: (N, D) features.
        real: (M, D) features.

    Returns:
        The share of generated images in the manifold of real ones, and the reverse.
    """
    metric = torch_fidelity('metric_prc').prc_features_to_metric(
        generated, real, prc_neighborhood=NEIGHBORS, save_cpu_ram=True, verbose=False
    )
    return metric['precision'], metric['recall']
