"""The frozen autoencoder of latent diffusion on the features of a vision encoder (RAE)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mmaddp.registry import MODELS

from ..layers.positions import full_precision
from .kl_autoencoder import KLAutoencoder


@MODELS.register_module()
class RepresentationAutoencoder(KLAutoencoder):
    """An ``AutoencoderRAE`` of a local folder: latents are the tokens of DINOv2, MAE or SigLIP.

    It equals the library's own encoder at the size that it was made for. The library resizes any
    image to that square; here the tokens of other sizes and aspects keep their stride.

    Args:
        folder: Folder saved by ``diffusers``.
        scale: Factor of the latents.
    """

    kind = 'AutoencoderRAE'

    def __init__(self, folder: str, scale: float = 1.0) -> None:
        super().__init__(folder, scale)

    @property
    def stride(self) -> int:
        """Pixels of an image per position of the latents: the side of the decoder's patch."""
        return self.network[0].config.patch_size

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Latents of images, normalized by the file's statistics.

        Args:
            images: (B, 3, H, W) in [-1, 1]; H and W multiples of the stride.

        Returns:
            (B, C, H / stride, W / stride).
        """
        with full_precision(images):
            network = self.network[0].to(images.device)
            config, stride = network.config, self.stride
            grid = (images.shape[2] // stride, images.shape[3] // stride)
            # The encoder's patch is another one than the decoder's: 14 pixels for DINOv2, not 16.
            size = tuple(side * config.encoder_patch_size for side in grid)
            x = (images.float() + 1) / 2
            if size != tuple(images.shape[2:]):
                x = F.interpolate(x, size, mode='bicubic', align_corners=False)
            x = (x - network.encoder_mean) / network.encoder_std
            # The library's own call, which keeps MAE from shuffling the patches.
            patch = [config.encoder_patch_size] if config.encoder_type == 'mae' else []
            tokens = network._encoder_forward_fn(network.encoder, x, *patch)
            latents = tokens.transpose(1, 2).unflatten(2, grid)
            mean = resize_statistics(network._latents_mean, grid)
            std = resize_statistics(network._latents_std, grid)
            # 1e-5 as in the library
            return ((latents - mean) / (std + 1e-5) * self.scale).to(images.dtype)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images about [-1, 1] of latents (B, C, h, w) of the size that the file was made for."""
        network = self.network[0].to(latents.device)
        with full_precision(latents):
            # The library itself divides by its scaling factor, which is ours.
            return (2 * network.decode(latents.float()).sample - 1).to(latents.dtype)


def resize_statistics(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """Statistics of each position (C, h, w) for another grid; others as they are."""
    if values.ndim != 3 or tuple(values.shape[1:]) in ((1, 1), grid):
        return values
    return F.interpolate(values[None], grid, mode='bilinear', align_corners=False)
