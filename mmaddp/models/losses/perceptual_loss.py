"""The perceptual distance of two images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import vgg

from mmaddp.checkpoints import read_checkpoint
from mmaddp.checkpoints.rules import under

from ..pixel_values import register_imagenet_statistics

# The last activations of VGG16's five stages.
STAGE_ENDS = (3, 8, 15, 22, 29)


class PerceptualLoss(nn.Module):
    """Distance of VGG16 features: LPIPS with equal weights for all channels.

    Args:
        weights: torchvision's VGG16 as a local file, such as ``vgg16-397923af.pth``.

    Raises:
        UserError: The file cannot be read.
        RuntimeError: The file does not hold a VGG16 without batch norm.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.features = vgg.make_layers(vgg.cfgs['D'])[: STAGE_ENDS[-1] + 1]
        # On the meta device there is nothing to fill, and no file is needed.
        if not self.features[0].weight.is_meta:
            self.features.load_state_dict(read_features(weights))
        for layer in self.features:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        register_imagenet_statistics(self)

    def forward(self, decoded: Tensor, images: Tensor) -> Tensor:
        """Squared distance of unit feature vectors, summed over channels and stages.

        Args:
            decoded: (B, 3, H, W), about [0, 1].
            images: (B, 3, H, W) in [0, 1]; no gradient reaches them.

        Returns:
            The mean over positions and images.
        """
        # LPIPS: sum over stages of the mean over positions of ||f - f'||^2.
        with torch.no_grad():
            wanted = self.stages(images)
        pairs = zip(self.stages(decoded), wanted)
        return sum((one - other).square().sum(1).mean() for one, other in pairs)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Features of the five stages, (B, C, h, w) each, with unit norm at every position."""
        x, outputs = (images - self.mean) / self.std, []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in STAGE_ENDS:
                outputs.append(F.normalize(x.float(), dim=1, eps=1e-6))
        return outputs


def read_features(path: str) -> dict[str, Tensor]:
    """The convolutions of a torchvision VGG16 file, by their names in ``features``."""
    checkpoint = read_checkpoint(path)
    return under(checkpoint.get('state_dict', checkpoint), 'features.')
