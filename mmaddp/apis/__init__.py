"""What the tools do, as functions, and what a notebook calls.

The functions for notebooks are here; the others are imported from their modules.
"""

from .generation import extract_features, generate, inpaint, reconstruct
from .models import load_pretrainer

__all__ = ['extract_features', 'generate', 'inpaint', 'load_pretrainer', 'reconstruct']
