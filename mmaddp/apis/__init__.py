"""Functions for notebooks."""

from mmaddp.checkpoints import convert_file
from mmaddp.engine.runs import load_config, test, train

from .generation import extract_features, generate, inpaint, reconstruct
from .models import load_pretrainer
from .prediction import predict

__all__ = [
    'convert_file',
    'extract_features',
    'generate',
    'inpaint',
    'load_config',
    'load_pretrainer',
    'predict',
    'reconstruct',
    'test',
    'train',
]
