from .adaptive_norm import AdaptiveBlock, AdaptiveHead, ConditionEmbed
from .attention import Attention, rel_pos_attention
from .block import Block
from .ema import RisingEMA
from .initialization import init_parameters
from .kv_cache import KVCache
from .norm import LN2d
from .patch_embed import PatchEmbed, patch_statistics, patchify, unpatchify
from .patch_order import patch_order
from .positions import interpolate_pos_embed, interpolate_rel_pos, sincos_pos_embed
from .rotary import patch_coordinates, raster_coordinates, rotary_angles, rotate
from .token_head import TokenHead
from .vocabulary import Vocabulary
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
    'TokenHead',
    'Vocabulary',
    'init_parameters',
    'interpolate_pos_embed',
    'interpolate_rel_pos',
    'patch_coordinates',
    'patch_order',
    'patch_statistics',
    'patchify',
    'raster_coordinates',
    'rel_pos_attention',
    'rotary_angles',
    'rotate',
    'sincos_pos_embed',
    'unpatchify',
    'window_partition',
    'window_unpartition',
]
