"""Whether the options and the parts of a DDAE fit each other."""

from __future__ import annotations

from typing import Any

from torch import nn

from mmaddp.diffusion import NonLeakingAugmentation
from mmaddp.diffusion.processes import DDPM, DiffusionProcess

AUTOENCODER = "dict(type='mmaddp.KLAutoencoder', folder=…)"


def check_process(process: object) -> None:
    """Refuse what is no diffusion process.

    Raises:
        ValueError: Names the key and the remedy.
    """
    if not isinstance(process, DiffusionProcess):
        raise ValueError(
            f"process.type='{type(process).__name__}': set it to 'mmaddp.DDPM' or 'mmaddp.EDM'"
        )


def check_options(
    network: dict, augmentation: NonLeakingAugmentation | None, autoencoder: dict | None
) -> None:
    """Refuse a network that is cut, or that is told of more or fewer moves than there are.

    Raises:
        ValueError: Names the key and the remedy.
    """
    if network.get('out_blocks') is not None:
        raise ValueError('network.out_blocks: a truncated network does not denoise; leave it out')
    if network.get('autoencoder') is not None:
        raise ValueError('network.autoencoder: the images are noised behind it: set autoencoder')
    dims = network.get('augment_dim', 0)
    if augmentation is None and dims:
        raise ValueError(
            f'network.augment_dim={dims} without augmentation: set augment=0.12, or augment_dim=0'
        )
    if augmentation is not None and autoencoder is not None:
        raise ValueError('augment: moves images, and the network sees latents: set augment=None')
    if augmentation is not None and dims != augmentation.label_dims:
        raise ValueError(
            f'network.augment_dim={dims}: the augmentation has {augmentation.label_dims} labels; '
            f'set network.augment_dim={augmentation.label_dims}, or augment=None'
        )


def check_network(network: nn.Module, process: DiffusionProcess, autoencoder: Any) -> None:
    """Refuse a network that is no denoiser, or none of what it would be given.

    Raises:
        ValueError: Names the key and the remedy.
    """
    name = type(network).__name__
    if not hasattr(network, 'predict'):
        raise ValueError(f"network.type='{name}': set it to 'mmaddp.DDAEUNet' or 'mmaddp.DDAEDiT'")
    if autoencoder is None and network.in_channels != 3:
        raise ValueError(
            f'network.in_channels={network.in_channels}: a latent model sees images through an '
            f'autoencoder: set autoencoder={AUTOENCODER}'
        )
    fraction = isinstance(process, DDPM) and process.time_input == 'fraction'
    if fraction and getattr(network, 'counts_timesteps', False):
        raise ValueError(
            f"process.time_input='fraction': {name} counts timesteps from 0: set it to 'index'"
        )
