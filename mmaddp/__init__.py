"""Encoders pre-trained by generative methods, transferred to dense prediction with OpenMMLab.

Importing the package registers everything in it, so that a config needs no more than
``custom_imports = dict(imports=['mmaddp'])``. Modules that other packages name as entry points of
the group ``mmaddp.plugins`` are imported too.
"""

from importlib.metadata import entry_points

from . import operators
from .version import __version__

# Before anything imports mmcv's operators.
operators.stand_in()

from . import datasets, engine, evaluation, models  # noqa: E402

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models', 'operators']

_points = entry_points()
# A dict in Python 3.9.
_select = getattr(_points, 'select', lambda group: _points.get(group, ()))
for _point in _select(group='mmaddp.plugins'):
    _point.load()
