"""Data sets and transforms. A class loads at first use: see ``mmaddp.registry``."""

from mmaddp.utils import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        'coco': ['CocoDataset'],
        'corruptions': ['Corrupt', 'corrupt'],
        'dataset_parts': ['DatasetParts'],
        'depth_transforms': ['ColorAugmentation', 'CropBox', 'RandomScale'],
        'drawn_shapes': ['DrawnShapes', 'LoadDrawnShapes'],
        'image_folder': ['ImageFolder'],
        'imagenet_variants': ['ImageNetVariant', 'imagenet_wnids', 'variant_wnids'],
        'label_subsets': ['classes_of_images', 'subset_indices'],
        'loading': ['LoadImage'],
        'resize_for_crop': ['ResizeForCrop'],
        'robustness_parts': ['RobustnessPart', 'find_parts'],
        'shapes': ['draw_shapes'],
        'tiny_imagenet': ['TinyImageNet'],
        'torchvision_dataset': ['TorchvisionDataset'],
        'transforms': ['RandomResizedCrop'],
        'vq_tokens': ['VQTokenDataset'],
    },
)
