from .attention import Attention, rel_pos_attention
from .block import Block
from .initialization import draw_weights
from .norm import LN2d
from .patch_embed import PatchEmbed
from .positions import interpolate_pos_embed, interpolate_rel_pos
from .token_head import TokenHead
from .vocabulary import Vocabulary
from .windows import window_partition, window_unpartition

__all__ = [
    'Attention',
    'Block',
    'LN2d',
    'PatchEmbed',
    'TokenHead',
    'Vocabulary',
    'draw_weights',
    'interpolate_pos_embed',
    'interpolate_rel_pos',
    'rel_pos_attention',
    'window_partition',
    'window_unpartition',
]
