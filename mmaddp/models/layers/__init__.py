from .adaptive_norm import AdaptiveBlock, AdaptiveHead, ConditionEmbed
from .attention import Attention, KVCache
from .block import Block
from .ema import RisingEMA
from .initialization import init_parameters
from .norm import LN2d
from .patch_embed import PatchEmbed, pad_to_multiples, patch_statistics, patchify, unpatchify
from .positions import interpolate_pos_embed, interpolate_rel_pos, sincos_pos_embed
from .relative_attention import is_compiling, rel_pos_attention
from .rotary import (
    apply_rotary,
    patch_coordinates,
    phase_factors,
    raster_coordinates,
    rotary_angles,
)
from .sequence import SequencePositions, in_order, inverse, patch_order
from .upsampling import upsample_and_convolve
from .vocabulary import TokenHead, Vocabulary
from .windows import window_partition, window_unpartition

__all__ = [
    'AdaptiveBlock',
    'AdaptiveHead',
    'Attention',
    'Block',
    'ConditionEmbed',
    'KVCache',
    'LN2d',
    'PatchEmbed',
    'RisingEMA',
    'SequencePositions',
    'TokenHead',
    'Vocabulary',
    'apply_rotary',
    'in_order',
    'init_parameters',
    'interpolate_pos_embed',
    'interpolate_rel_pos',
    'inverse',
    'is_compiling',
    'pad_to_multiples',
    'patch_coordinates',
    'patch_order',
    'patch_statistics',
    'patchify',
    'phase_factors',
    'raster_coordinates',
    'rel_pos_attention',
    'rotary_angles',
    'sincos_pos_embed',
    'unpatchify',
    'upsample_and_convolve',
    'window_partition',
    'window_unpartition',
]
