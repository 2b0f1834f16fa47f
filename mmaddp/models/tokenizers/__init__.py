from .kl_autoencoder import KLAutoencoder
from .vqgan import VQGAN

__all__ = ['VQGAN', 'KLAutoencoder']
