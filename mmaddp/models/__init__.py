from importlib.util import find_spec

from .backbones import ADDPViT
from .discriminators import PatchDiscriminator
from .layers import LN2d
from .necks import PixelShuffleNeck, PoolNormNeck, SimpleFeaturePyramid
from .pretrainers import ADDP, ADDPDecoder, MAGETrainer, VQGANTrainer
from .token_predictors import MAGE
from .tokenizers import VQGAN

__all__ = [
    'ADDP',
    'MAGE',
    'VQGAN',
    'ADDPDecoder',
    'ADDPViT',
    'LN2d',
    'MAGETrainer',
    'PatchDiscriminator',
    'PixelShuffleNeck',
    'PoolNormNeck',
    'SimpleFeaturePyramid',
    'VQGANTrainer',
]

# Detection's own needs are not asked of those who only classify or segment.
if find_spec('mmdet'):
    from .dense_heads import RPNHead

    __all__ += ['RPNHead']
