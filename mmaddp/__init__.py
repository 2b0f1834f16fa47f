"""Encoders pre-trained by generative methods, transferred to dense prediction with OpenMMLab.

Importing the package registers everything in it, so that a config needs no more than
``custom_imports = dict(imports=['mmaddp'])``.
"""

from importlib.util import find_spec

from . import engine, models
from .version import __version__

__all__ = ['__version__', 'engine', 'models']

# Classification's own needs are not asked of those who only detect or segment.
if find_spec('mmpretrain'):
    from . import datasets, evaluation

    __all__ += ['datasets', 'evaluation']
