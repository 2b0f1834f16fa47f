from .masked_token_loss import masked_token_loss
from .perceptual_loss import PerceptualLoss
from .vqgan_losses import (
    adaptive_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
    quantization_losses,
    reconstruction_loss,
)

__all__ = [
    'PerceptualLoss',
    'adaptive_weight',
    'hinge_discriminator_loss',
    'hinge_generator_loss',
    'masked_token_loss',
    'quantization_losses',
    'reconstruction_loss',
]
