"""Diffusion models of whole images as DDAE trains them, around any network."""

from .base import DiffusionProcess, Network
from .ddpm import DDPM
from .edm import EDM, Preconditioning
from .flow import FlowMatching
from .scheduler import scheduler_process

__all__ = [
    'DDPM',
    'EDM',
    'DiffusionProcess',
    'FlowMatching',
    'Network',
    'Preconditioning',
    'scheduler_process',
]
