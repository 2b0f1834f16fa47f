from importlib.util import find_spec

from mmaddp.datasets.coco import CocoDataset
from mmaddp.datasets.image_files import LoadImage

__all__ = ['CocoDataset', 'LoadImage']

# Classification's own needs are not asked of those who only detect or segment.
if find_spec('mmpretrain'):
    from mmaddp.datasets.dataset_parts import DatasetParts
    from mmaddp.datasets.image_folder import ImageFolder
    from mmaddp.datasets.imagenet_variants import ImageNetVariant, imagenet_wnids, variant_wnids
    from mmaddp.datasets.robustness_parts import RobustnessPart, find_parts
    from mmaddp.datasets.tiny_imagenet import TinyImageNet
    from mmaddp.datasets.torchvision_dataset import TorchvisionDataset
    from mmaddp.datasets.transforms import RandomResizedCrop
    from mmaddp.datasets.vq_tokens import VQTokenDataset

    __all__ += [
        'DatasetParts',
        'ImageFolder',
        'ImageNetVariant',
        'RandomResizedCrop',
        'RobustnessPart',
        'TinyImageNet',
        'TorchvisionDataset',
        'VQTokenDataset',
        'find_parts',
        'imagenet_wnids',
        'variant_wnids',
    ]
