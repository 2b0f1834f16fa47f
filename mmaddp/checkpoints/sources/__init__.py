"""The layouts that can be converted, in the order in which they are tried."""

from ..rules import SOURCES, register_source
from .addp import ADDP, MAGE, VQGAN
from .ddae import DDAE, EDM
from .dit import DIFFUSERS, DIT
from .mmaddp import MMADDP
from .vitdet import VITDET
from .vits import MAE, MMPRETRAIN, TRANSFORMERS

# Our own files come last: their names are told by the registered classes, which takes longest.
for _source in (
    MMADDP,
    EDM,
    DIFFUSERS,
    DDAE,
    DIT,
    TRANSFORMERS,
    MMPRETRAIN,
    VITDET,
    MAE,
    VQGAN,
    MAGE,
    ADDP,
):
    register_source(_source)

__all__ = ['SOURCES', 'register_source']
