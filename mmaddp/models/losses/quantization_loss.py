"""What draws codes and features to each other."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def quantization_losses(
    features: Tensor, codes: Tensor, beta: float = 0.25
) -> tuple[Tensor, Tensor]:
    """Codebook and commitment loss, the last two terms of VQGAN's equation 4.

    Args:
        features: (B, N, E), the encoder's, which learn by the second loss alone.
        codes: (B, N, E), the nearest codes, which learn by the first alone.
        beta: Weight of the commitment; 0.25 in VQ-VAE, VQGAN and MaskGIT.

    Returns:
        ``|| sg[features] - codes ||^2`` and ``beta || features - sg[codes] ||^2``, means over all
        elements.
    """
    features, codes = features.float(), codes.float()
    codebook = F.mse_loss(codes, features.detach())
    commitment = beta * F.mse_loss(features, codes.detach())
    return codebook, commitment
