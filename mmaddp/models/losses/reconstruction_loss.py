"""How far decoded images are from the images."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def reconstruction_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """Mean absolute error and mean squared error, added.

    VQGAN's code takes the first, its paper and MaskGIT the second. The absolute error keeps edges
    sharp where no perceptual loss does; the squared one pulls harder while all is far off.

    Args:
        decoded: (B, 3, H, W), about [0, 1].
        images: (B, 3, H, W) in [0, 1].
    """
    decoded, images = decoded.float(), images.float()
    return F.l1_loss(decoded, images) + F.mse_loss(decoded, images)
