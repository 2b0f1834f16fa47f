"""VQGAN's losses: reconstruction, quantization, and the hinge losses of its discriminator."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_WEIGHT = 1e4
EPSILON = 1e-4


def reconstruction_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """Mean absolute error plus mean squared error.

    VQGAN's code uses the first, its paper and MaskGIT the second. The absolute error keeps edges
    sharp without a perceptual loss; the squared error is stronger early on.

    Args:
        decoded: (B, 3, H, W), about [0, 1].
        images: (B, 3, H, W) in [0, 1].
    """
    decoded, images = decoded.float(), images.float()
    return F.l1_loss(decoded, images) + F.mse_loss(decoded, images)


def quantization_losses(
    features: Tensor, codes: Tensor, beta: float = 0.25
) -> tuple[Tensor, Tensor]:
    """Codebook and commitment loss, the last two terms of VQGAN's equation 4.

    Args:
        features: (B, N, E), the encoder's, which learn by the second loss only.
        codes: (B, N, E), the nearest codes, which learn by the first loss only.
        beta: Weight of the commitment; 0.25 in VQ-VAE, VQGAN and MaskGIT.

    Returns:
        ``|| sg[features] - codes ||^2`` and ``beta || features - sg[codes] ||^2``, means over all
        elements.
    """
    features, codes = features.float(), codes.float()
    # detach() is the paper's stop-gradient sg[.].
    codebook = F.mse_loss(codes, features.detach())
    commitment = beta * F.mse_loss(features, codes.detach())
    return codebook, commitment


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss: scores of any shape -> scalar, 1 when all scores are 0."""
    real, fake = real.float(), fake.float()
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def hinge_generator_loss(fake: Tensor) -> Tensor:
    """The decoder's loss: scores of its images -> scalar."""
    return -fake.float().mean()


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last_layer: Tensor) -> Tensor:
    """Weight of the adversarial loss, lambda of VQGAN's equation 7.

    It gives both losses equal gradients at the last layer of the decoder. Use bfloat16 or float32:
    the unscaled gradients exceed the range of float16.

    Args:
        reconstruction: The reconstruction loss, perceptual loss included.
        adversarial: The decoder's adversarial loss.
        last_layer: A parameter that both depend on.

    Returns:
        A scalar in [0, 10000], without gradient.
    """
    # lambda = ||grad L_rec|| / (||grad L_GAN|| + delta)
    norms = [
        torch.autograd.grad(loss, last_layer, retain_graph=True)[0].float().norm()
        for loss in (reconstruction, adversarial)
    ]
    return (norms[0] / (norms[1] + EPSILON)).clamp(0, MAX_WEIGHT).detach()
