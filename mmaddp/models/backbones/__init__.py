from .addp_vit import ADDPViT
from .base import BaseEncoder
from .darl_vit import DARLViT
from .ddae_dit import DDAEDiT
from .ddae_unet import DDAEUNet
from .diffusers_unet import DiffusersUNet
from .encoder import Encoder
from .mage_vit import MAGEViT

__all__ = [
    'ADDPViT',
    'BaseEncoder',
    'DARLViT',
    'DDAEDiT',
    'DDAEUNet',
    'DiffusersUNet',
    'Encoder',
    'MAGEViT',
]
