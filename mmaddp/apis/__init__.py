"""What a notebook calls; the rest is imported from its own room."""

from mmaddp.checkpoints import convert_file
from mmaddp.engine.runs import test, train
from mmaddp.engine.setup import load_config

from .generation import extract_features, generate, inpaint, reconstruct
from .models import load_pretrainer

__all__ = [
    'convert_file',
    'extract_features',
    'generate',
    'inpaint',
    'load_config',
    'load_pretrainer',
    'reconstruct',
    'test',
    'train',
]
