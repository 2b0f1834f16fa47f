from importlib.util import find_spec

from .backbones import ADDPViT
from .layers import LN2d
from .necks import PoolNormNeck, SimpleFeaturePyramid

__all__ = ['ADDPViT', 'LN2d', 'PoolNormNeck', 'SimpleFeaturePyramid']

# Detection's own needs are not asked of those who only classify or segment.
if find_spec('mmdet'):
    from .dense_heads import RPNHead

    __all__ += ['RPNHead']
