"""Metrics. A class loads at first use: see ``mmaddp.registry``."""

from mmaddp.utils import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        'coco_metric': ['CocoMetric'],
        'corruption_error': ['ALEXNET_ERRORS', 'CorruptionErrors', 'corruption_errors'],
        'mean_loss': ['MeanLoss'],
        'named_accuracy': ['NamedAccuracy'],
        'named_dense': ['NamedDepth', 'NamedIoU'],
        'per_image': ['ImageScores', 'PerImage'],
        'robustness_summary': ['summarize'],
        'statistics': ['Estimate', 'estimate', 'holm', 'resample_images'],
        'subset_accuracy': ['SubsetAccuracy'],
    },
)
