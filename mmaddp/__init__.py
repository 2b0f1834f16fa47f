"""Encoders pre-trained by generative methods, transferred to dense prediction with OpenMMLab.

Importing the package registers everything in it, so that a config needs no more than
``custom_imports = dict(imports=['mmaddp'])``.
"""

from . import datasets, engine, evaluation, models
from .version import __version__

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models']
