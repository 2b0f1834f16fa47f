from .addp_vit import ADDPViT
from .base import Encoder
from .darl_vit import DARLViT
from .ddae_dit import DDAEDiT
from .ddae_unet import DDAEUNet
from .diffusers_unet import DiffusersUNet

__all__ = [
    'ADDPViT',
    'DARLViT',
    'DDAEDiT',
    'DDAEUNet',
    'DiffusersUNet',
    'Encoder',
]
