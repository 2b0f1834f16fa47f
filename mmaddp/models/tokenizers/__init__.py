from .vqgan import VQGAN

__all__ = ['VQGAN']
