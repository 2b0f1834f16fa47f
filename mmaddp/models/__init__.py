from importlib.util import find_spec

from .backbones import ADDPViT, DARLViT
from .discriminators import PatchDiscriminator
from .layers import LN2d
from .necks import LastTokenNeck, PixelShuffleNeck, PoolNormNeck, SimpleFeaturePyramid
from .pretrainers import (
    ADDP,
    DARL,
    ADDPDecoder,
    MAGETrainer,
    MLPPatchDecoder,
    TransformerPatchDecoder,
    VQGANTrainer,
)
from .token_predictors import MAGE
from .tokenizers import VQGAN

__all__ = [
    'ADDP',
    'DARL',
    'MAGE',
    'VQGAN',
    'ADDPDecoder',
    'ADDPViT',
    'DARLViT',
    'LN2d',
    'LastTokenNeck',
    'MAGETrainer',
    'MLPPatchDecoder',
    'PatchDiscriminator',
    'PixelShuffleNeck',
    'PoolNormNeck',
    'SimpleFeaturePyramid',
    'TransformerPatchDecoder',
    'VQGANTrainer',
]

# Detection's own needs are not asked of those who only classify or segment.
if find_spec('mmdet'):
    from .dense_heads import RPNHead

    __all__ += ['RPNHead']

# And what only classifies is not asked of those who detect or segment.
if find_spec('mmpretrain'):
    from .heads import AllDepthsHead

    __all__ += ['AllDepthsHead']
