from mmaddp.datasets.imagenet_variants import ImageNetVariant, imagenet_wnids, variant_wnids
from mmaddp.datasets.robustness_parts import RobustnessPart, find_parts

__all__ = ['ImageNetVariant', 'RobustnessPart', 'find_parts', 'imagenet_wnids', 'variant_wnids']
