from .backbones import ADDPViT
from .layers import LN2d
from .necks import PoolNormNeck, SimpleFeaturePyramid

__all__ = ['ADDPViT', 'LN2d', 'PoolNormNeck', 'SimpleFeaturePyramid']
