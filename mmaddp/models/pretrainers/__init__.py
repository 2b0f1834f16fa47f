from .addp import ADDP
from .addp_decoder import ADDPDecoder
from .mage_trainer import MAGETrainer
from .vqgan_trainer import VQGANTrainer

__all__ = ['ADDP', 'ADDPDecoder', 'MAGETrainer', 'VQGANTrainer']
