"""Randomness that belongs to an image, not to its batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class ImageNoise:
    """Random numbers of a batch that depend only on each image's seed and index.

    EDM calls it a stacked random generator. It samples on the CPU, so batch size, processes and
    device change nothing.

    Args:
        seed: A non-negative integer.
        indices: Index of each image among all of this seed.
    """

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        # PyTorch's generator keeps 32 bits of a seed, too few to tell many images apart.
        sequences = (np.random.SeedSequence(seed, spawn_key=(index,)) for index in indices)
        self.generators = [np.random.Generator(np.random.PCG64(one)) for one in sequences]

    def uniform(self, like: Tensor) -> Tensor:
        """Independent values in [0, 1), (B, N) float64, on the device of ``like`` (B, N)."""
        values = [generator.random(like.shape[1]) for generator in self.generators]
        return torch.from_numpy(np.stack(values)).to(like.device)

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal values with the shape, type and device of ``like`` (B, ...)."""
        shape = like.shape[1:]
        values = [
            generator.standard_normal(shape, dtype=np.float32) for generator in self.generators
        ]
        return torch.from_numpy(np.stack(values)).to(like)
