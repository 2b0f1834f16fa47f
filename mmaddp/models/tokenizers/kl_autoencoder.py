"""The frozen autoencoder of latent diffusion models."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaddp.registry import MODELS
from mmaddp.utils import UserError, reason_of

from ..layers.positions import full_precision


@MODELS.register_module()
class KLAutoencoder(BaseModule):
    """Stable Diffusion's autoencoder, from a local folder, through the library ``diffusers``.

    It is never trained, and checkpoints leave it out. The network is read at first use and moved to
    the device of the inputs.

    Args:
        folder: Folder saved by ``diffusers``, with ``config.json`` and the weights. DDAE uses
            'stabilityai/sd-vae-ft-mse'; a whole pipeline has it in its folder ``vae``.
        scale: Factor of the latents, which gives them a std of about 1.
        sample: Sample latents from the posterior, as DDAE's authors do for their probes. By default
            its mode makes features a function of the image.
    """

    kind = 'AutoencoderKL'

    def __init__(self, folder: str, scale: float = 0.18215, sample: bool = False) -> None:
        super().__init__()
        self.folder, self.scale, self.sample = Path(folder), scale, sample

    @property
    def stride(self) -> int:
        """Pixels of an image per position of the latents."""
        # Each block but the last halves the grid: 8 for Stable Diffusion's four blocks.
        return 2 ** (len(self.network[0].config.block_out_channels) - 1)

    @cached_property
    def network(self) -> tuple[nn.Module]:
        """The network, in a tuple so that it is not a submodule."""
        return (read_autoencoder(self.folder, self.kind),)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Latents of images.

        Args:
            images: (B, 3, H, W) in [-1, 1]; H and W multiples of the stride, 8.

        Returns:
            (B, 4, H / 8, W / 8), scaled.

        Raises:
            ImportError: ``diffusers`` is not installed.
            UserError: The network cannot be read.
        """
        # Not a submodule, so `.to()` of the model does not move it.
        network = self.network[0].to(images.device)
        # In half precision the network overflows, or its latents lose 1 %.
        with full_precision(images):
            # A Gaussian with mean and variance for each position: q(z | x).
            posterior = network.encode(images.float()).latent_dist
            latents = posterior.sample() if self.sample else posterior.mode()
            return (latents * self.scale).to(images.dtype)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images of scaled latents: (B, 4, h, w) -> (B, 3, 8 h, 8 w), about [-1, 1]."""
        network = self.network[0].to(latents.device)
        with full_precision(latents):
            return network.decode(latents.float() / self.scale).sample.to(latents.dtype)


def read_autoencoder(folder: Path, kind: str) -> nn.Module:
    """The frozen network in a folder, of a class of ``diffusers``.

    Raises:
        ImportError: ``diffusers`` is not installed.
        UserError: The folder holds no autoencoder.
    """
    import diffusers

    try:
        network = getattr(diffusers, kind).from_pretrained(
            folder, local_files_only=True, low_cpu_mem_usage=False
        )
    except Exception as error:  # damaged folders raise errors of many types
        example = ", such as that of 'stabilityai/sd-vae-ft-mse'" if kind == 'AutoencoderKL' else ''
        raise UserError(
            f'{folder}: no {kind} can be read from it ({reason_of(error)}); set a folder of '
            f'diffusers with its config.json and weights{example}'
        ) from None
    return network.requires_grad_(False).eval()
