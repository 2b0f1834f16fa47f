from .grid_probe import PIXELS, Cell, GridProbe, LinearHead, average
from .plain_encoder import PlainEncoder

__all__ = ['PIXELS', 'Cell', 'GridProbe', 'LinearHead', 'PlainEncoder', 'average']
