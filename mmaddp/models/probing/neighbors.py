"""Probes without training: the nearest neighbors of a feature in the training set."""

from __future__ import annotations

import torch
from mmengine.dist import all_gather_object, get_world_size
from torch import Tensor
from torch.nn import functional as F

from mmaddp.registry import MODELS

from ..layers.positions import full_precision
from .heads import ProbeHead, VectorHead
from .segmentation import SegmentationHead

CHUNK = 4096  # queries at once


class NeighborHead(ProbeHead):
    """Scores a feature by the labels of its ``k`` most similar features of the training set.

    Similarity is the cosine. A neighbor of similarity s votes with the weight exp(s / temperature),
    as in DINO's k-NN classifier and in in-context scene understanding (Hummingbird).

    Args:
        k: Number of neighbors.
        temperature: Small values trust the nearest neighbors more.
    """

    trained = False
    k: int
    temperature: float

    def clear(self) -> None:
        """Forget everything."""
        self.keys: list[Tensor] | Tensor = []
        self.values: list[Tensor] | Tensor = []

    def keep(self, features: Tensor, labels: Tensor) -> None:
        """Remember features (N, C) with label distributions (N, num_classes)."""
        self.keys.append(F.normalize(features.float(), dim=1))
        self.values.append(labels)

    def finish(self) -> None:
        """Gather the memories of all processes."""
        memory = torch.cat(self.keys), torch.cat(self.values)
        if get_world_size() > 1:
            # Each process remembers its share of the images.
            parts = all_gather_object(tuple(each.cpu() for each in memory))
            memory = tuple(torch.cat(part).to(memory[0].device) for part in zip(*parts))
        self.keys, self.values = memory

    def vote(self, features: Tensor) -> Tensor:
        """Features (N, C) -> label distributions (N, num_classes)."""
        return torch.cat([self.vote_once(part) for part in features.split(CHUNK)])

    def vote_once(self, features: Tensor) -> Tensor:
        """The votes for a few features."""
        # Rounded to half precision, most cosines are the same.
        with full_precision(features):
            # (N, M), cosines
            similarity = F.normalize(features.float(), dim=1) @ self.keys.T
            nearest, indices = similarity.topk(min(self.k, len(self.keys)), dim=1)
            # (N, k): a softmax, since only their ratios matter
            weights = (nearest / self.temperature).softmax(dim=1)
            # (N, k) x (N, k, num_classes) -> (N, num_classes)
            return torch.einsum('nk,nkc->nc', weights, self.values[indices])


@MODELS.register_module()
class KNNClassifier(NeighborHead, VectorHead):
    """k-NN classification by averaged features.

    Args:
        channels: C of the features; any.
        num_classes: Number of classes.
        k: Number of neighbors; DINO reports the best of 10, 20, 100 and 200, mostly 20.
        temperature: DINO's.
    """

    title = 'k-NN classification'
    metrics = {'accuracy': 'greater'}

    def __init__(
        self, channels: int, num_classes: int, k: int = 20, temperature: float = 0.07
    ) -> None:
        super().__init__()
        self.num_classes, self.k, self.temperature = num_classes, k, temperature
        self.clear()

    def remember(self, features: Tensor, targets: Tensor) -> None:
        """Keep a batch: (B, C) and class indices (B,)."""
        self.keep(features, F.one_hot(targets, self.num_classes).float())

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) -> scores (B, num_classes)."""
        return self.vote(features)


@MODELS.register_module()
class PatchRetrieval(NeighborHead, SegmentationHead):
    """Semantic segmentation by the nearest patches of the training set (Hummingbird).

    A patch of the training set is remembered with the shares of its pixels' classes. The votes for
    each patch of a test image are resized to the image.

    Args:
        channels: C of the features; any.
        num_classes: Number of classes.
        k: Number of neighbors.
        temperature: As for :class:`NeighborHead`.
        patches_per_image: How many patches of an image are remembered, sampled at random; all when
            None. The memory holds this many for each image.
        ignore_index: Label of pixels without a class. Patches without any other are not remembered.
        align_corners: As for :class:`DenseHead`.
    """

    title = 'patch retrieval'

    def __init__(
        self,
        channels: int,
        num_classes: int,
        k: int = 30,
        temperature: float = 0.02,
        patches_per_image: int | None = 64,
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        super().__init__(align_corners)
        self.num_classes, self.k, self.temperature = num_classes, k, temperature
        self.patches_per_image, self.ignore_index = patches_per_image, ignore_index
        self.clear()

    def remember(self, features: Tensor, targets: Tensor) -> None:
        """Keep patches of a batch: (B, C, h, w) and labels (B, H, W)."""
        for one, labels in zip(features, targets):
            shares = self.shares(labels, one.shape[-2:])
            # (C, h, w) -> (h w, C)
            patches = one.flatten(1).T
            chosen = self.choose(shares.sum(1) > 0)
            weights = shares[chosen]
            self.keep(patches[chosen], weights / weights.sum(1, keepdim=True))

    def shares(self, labels: Tensor, size: tuple[int, int]) -> Tensor:
        """Share of each class in each patch: (H, W) -> (h w, num_classes)."""
        valid = labels != self.ignore_index
        one_hot = F.one_hot(labels.where(valid, 0), self.num_classes) * valid[..., None]
        # (H, W, K) -> (1, K, H, W) -> (K, h w)
        shares = F.adaptive_avg_pool2d(one_hot.permute(2, 0, 1)[None].float(), size)
        return shares[0].flatten(1).T

    def choose(self, labeled: Tensor) -> Tensor:
        """Indices of the patches to remember, of those that are labeled."""
        indices = labeled.nonzero()[:, 0]
        if self.patches_per_image is None or len(indices) <= self.patches_per_image:
            return indices
        # The same patches for all cells: depends only on how many images came before.
        generator = torch.Generator().manual_seed(len(self.keys))
        order = torch.randperm(len(indices), generator=generator)[: self.patches_per_image]
        return indices[order.to(indices.device)]

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> votes (B, num_classes, h, w)."""
        batch, _, height, width = features.shape
        votes = self.vote(features.permute(0, 2, 3, 1).flatten(0, 2))
        return votes.view(batch, height, width, -1).permute(0, 3, 1, 2)
