"""Diffusion models of whole images as DDAE trains them, around any network."""

from .base import DiffusionProcess, Network
from .ddpm import DDPM
from .edm import EDM, Preconditioning

__all__ = ['DDPM', 'EDM', 'DiffusionProcess', 'Network', 'Preconditioning']
