from .pixel_shuffle import PixelShuffleNeck
from .pooling import PoolNormNeck
from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ['PixelShuffleNeck', 'PoolNormNeck', 'SimpleFeaturePyramid']
