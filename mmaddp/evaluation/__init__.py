from importlib.util import find_spec

from mmaddp.evaluation.coco_metric import CocoMetric

__all__ = ['CocoMetric']

# Detection and segmentation run without MMPretrain.
if find_spec('mmpretrain'):
    from mmaddp.evaluation.corruption_error import (
        ALEXNET_ERRORS,
        CorruptionErrors,
        corruption_errors,
    )
    from mmaddp.evaluation.mean_loss import MeanLoss
    from mmaddp.evaluation.named_accuracy import NamedAccuracy
    from mmaddp.evaluation.robustness_summary import summarize
    from mmaddp.evaluation.subset_accuracy import SubsetAccuracy

    __all__ += [
        'ALEXNET_ERRORS',
        'CorruptionErrors',
        'MeanLoss',
        'NamedAccuracy',
        'SubsetAccuracy',
        'corruption_errors',
        'summarize',
    ]
