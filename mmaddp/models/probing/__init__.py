from .encoders import ProbedEncoder, average, probed_encoder
from .grid_probe import PIXELS, Cell, GridProbe
from .linear_heads import LinearHeads

__all__ = [
    'PIXELS',
    'Cell',
    'GridProbe',
    'LinearHeads',
    'ProbedEncoder',
    'average',
    'probed_encoder',
]
