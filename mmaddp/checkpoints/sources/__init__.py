"""The layouts that can be converted, by name."""

from .addp import ADDP
from .ddae import DDAE
from .diffusers import DIFFUSERS
from .dit import DIT
from .edm import EDM
from .mae import MAE
from .mage import MAGE
from .mmaddp import MMADDP
from .mmpretrain import MMPRETRAIN
from .vitdet import VITDET
from .vqgan import VQGAN

SOURCES = {
    source.name: source
    for source in (
        ADDP,
        MAGE,
        VQGAN,
        MAE,
        VITDET,
        MMPRETRAIN,
        DIT,
        DDAE,
        DIFFUSERS,
        EDM,
        MMADDP,
    )
}

__all__ = ['SOURCES']
