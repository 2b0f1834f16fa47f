from .addp_vit import ADDPViT
from .pretrained import load_pretrained_backbone

__all__ = ['ADDPViT', 'load_pretrained_backbone']
