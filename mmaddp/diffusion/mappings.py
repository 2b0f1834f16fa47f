"""The mapping functions f of equation 7, from the distribution of a token to code weights."""

from __future__ import annotations

from typing import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def weighted_sum(probs: Tensor) -> Tensor:
    """Every code in proportion to its probability."""
    return probs


def argmax(probs: Tensor) -> Tensor:
    """The most probable code alone."""
    return F.one_hot(probs.argmax(-1), probs.shape[-1]).to(probs)


def sampling(probs: Tensor) -> Tensor:
    """One code, sampled by its probability."""
    codes = torch.multinomial(probs.flatten(0, -2), 1).view(probs.shape[:-1])
    return F.one_hot(codes, probs.shape[-1]).to(probs)


# From probabilities (..., K) to the weights (..., K) of the codes.
MAPPINGS: dict[str, Callable[[Tensor], Tensor]] = {
    'WeightedSum': weighted_sum,
    'ArgMax': argmax,
    'Sampling': sampling,
}
