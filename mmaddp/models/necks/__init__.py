from .pixel_shuffle import PixelShuffleNeck
from .pooling import LastTokenNeck, PoolNormNeck
from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ['LastTokenNeck', 'PixelShuffleNeck', 'PoolNormNeck', 'SimpleFeaturePyramid']
