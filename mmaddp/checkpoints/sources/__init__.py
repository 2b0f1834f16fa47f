"""The layouts that can be converted, by name."""

from .addp import ADDP
from .mae import MAE
from .mmaddp import MMADDP
from .mmpretrain import MMPRETRAIN
from .vitdet import VITDET

SOURCES = {source.name: source for source in (ADDP, MAE, VITDET, MMPRETRAIN, MMADDP)}

__all__ = ['SOURCES']
