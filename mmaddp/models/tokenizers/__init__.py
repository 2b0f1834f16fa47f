from .kl_autoencoder import KLAutoencoder
from .rae import RepresentationAutoencoder
from .vqgan import VQGAN

__all__ = ['VQGAN', 'KLAutoencoder', 'RepresentationAutoencoder']
