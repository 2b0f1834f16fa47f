from .pooling import PoolNormNeck
from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ['PoolNormNeck', 'SimpleFeaturePyramid']
