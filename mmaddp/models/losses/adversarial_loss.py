"""The game between a decoder and a discriminator, with hinge losses as VQGAN plays it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_WEIGHT = 1e4
EPSILON = 1e-4


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss: scores of any shape -> scalar, 1 when all scores are 0."""
    real, fake = real.float(), fake.float()
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def hinge_generator_loss(fake: Tensor) -> Tensor:
    """The decoder's loss: scores of its images -> scalar."""
    return -fake.float().mean()


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last_layer: Tensor) -> Tensor:
    """Weight of the adversarial loss, lambda of VQGAN's equation 7.

    It makes both losses pull equally hard at the last layer of the decoder, whatever their scales.
    The gradients are those of unscaled losses, for which float16 has too small a range; bfloat16
    and float32 have not.

    Args:
        reconstruction: The reconstruction loss, perceptual loss included.
        adversarial: The decoder's adversarial loss.
        last_layer: A parameter that both depend on.

    Returns:
        A scalar in [0, 10000], without gradient.
    """
    norms = [
        torch.autograd.grad(loss, last_layer, retain_graph=True)[0].float().norm()
        for loss in (reconstruction, adversarial)
    ]
    return (norms[0] / (norms[1] + EPSILON)).clamp(0, MAX_WEIGHT).detach()
