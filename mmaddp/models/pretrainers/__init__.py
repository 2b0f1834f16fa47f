from .addp import ADDP
from .addp_decoder import ADDPDecoder
from .base import ImageGenerator, Pretrainer, Start
from .darl import DARL
from .ddae import DDAE
from .mage_trainer import MAGETrainer
from .patch_decoders import MLPPatchDecoder, TransformerPatchDecoder
from .vqgan_trainer import VQGANTrainer

__all__ = [
    'ADDP',
    'DARL',
    'DDAE',
    'ADDPDecoder',
    'ImageGenerator',
    'MAGETrainer',
    'MLPPatchDecoder',
    'Pretrainer',
    'Start',
    'TransformerPatchDecoder',
    'VQGANTrainer',
]
