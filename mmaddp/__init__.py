"""Encoders pre-trained by generative methods, transferred to dense prediction with OpenMMLab.

Importing the package imports neither PyTorch nor OpenMMLab's libraries: ``mmaddp.registry`` imports
the module of ``mmaddp.Name`` once a config names it. Modules that other packages name as entry
points of the group ``mmaddp.plugins`` are imported here.
"""

from importlib.metadata import entry_points

from . import multimodal, operators
from .utils import lazy_exports
from .version import __version__

# Before anything imports mmcv's operators.
operators.stand_in()
multimodal.leave_out()

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        'apis': [],
        'checkpoints': [],
        'datasets': [],
        'diffusion': [],
        'engine': [],
        'evaluation': [],
        'experiments': [],
        'models': [],
    },
)
__all__ += ['__version__', 'multimodal', 'operators']

_points = entry_points()
# A dict in Python 3.9.
_select = getattr(_points, 'select', lambda group: _points.get(group, ()))
for _point in _select(group='mmaddp.plugins'):
    _point.load()
