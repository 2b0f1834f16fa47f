from .addp_vit import ADDPViT
from .darl_vit import DARLViT
from .pretrained import load_pretrained_backbone

__all__ = ['ADDPViT', 'DARLViT', 'load_pretrained_backbone']
