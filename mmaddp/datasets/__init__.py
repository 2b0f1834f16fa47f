from mmaddp.datasets.imagenet_variants import ImageNetVariant, imagenet_wnids, variant_wnids
from mmaddp.datasets.robustness_parts import RobustnessPart, find_parts
from mmaddp.datasets.transforms import RandomResizedCrop
from mmaddp.datasets.vq_tokens import VQTokenDataset

__all__ = [
    'ImageNetVariant',
    'RandomResizedCrop',
    'RobustnessPart',
    'VQTokenDataset',
    'find_parts',
    'imagenet_wnids',
    'variant_wnids',
]
