from importlib.util import find_spec

from .backbones import ADDPViT, DARLViT, DDAEDiT, DDAEUNet, DiffusersUNet
from .classifiers import NoiseConditionalClassifier
from .discriminators import PatchDiscriminator
from .layers import LN2d
from .necks import LastTokenNeck, PixelShuffleNeck, PoolNormNeck, SimpleFeaturePyramid
from .pretrainers import (
    ADDP,
    DARL,
    DDAE,
    ADDPDecoder,
    MAGETrainer,
    MLPPatchDecoder,
    TransformerPatchDecoder,
    VQGANTrainer,
)
from .probing import GridProbe
from .token_predictors import MAGE
from .tokenizers import VQGAN, KLAutoencoder

__all__ = [
    'ADDP',
    'DARL',
    'DDAE',
    'MAGE',
    'VQGAN',
    'ADDPDecoder',
    'ADDPViT',
    'DARLViT',
    'DDAEDiT',
    'DDAEUNet',
    'DiffusersUNet',
    'GridProbe',
    'KLAutoencoder',
    'LN2d',
    'LastTokenNeck',
    'MAGETrainer',
    'MLPPatchDecoder',
    'NoiseConditionalClassifier',
    'PatchDiscriminator',
    'PixelShuffleNeck',
    'PoolNormNeck',
    'SimpleFeaturePyramid',
    'TransformerPatchDecoder',
    'VQGANTrainer',
]

# Classification and segmentation run without MMDetection.
if find_spec('mmdet'):
    from .dense_heads import RPNHead

    __all__ += ['RPNHead']
