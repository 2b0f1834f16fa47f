"""Diffusion models of whole images as DDAE trains them, around any network."""

from .base import Framework, Network
from .ddpm import DDPM
from .edm import EDM, Preconditioning

__all__ = ['DDPM', 'EDM', 'Framework', 'Network', 'Preconditioning']
