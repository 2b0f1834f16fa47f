from mmaddp.evaluation.corruption_error import (
    ALEXNET_ERRORS,
    CORRUPTIONS,
    SEVERITIES,
    CorruptionErrors,
    corruption_errors,
)
from mmaddp.evaluation.depth_accuracy import DepthAccuracy
from mmaddp.evaluation.robustness_summary import format_table, summarise
from mmaddp.evaluation.subset_accuracy import SubsetAccuracy

__all__ = [
    'ALEXNET_ERRORS',
    'CORRUPTIONS',
    'SEVERITIES',
    'CorruptionErrors',
    'DepthAccuracy',
    'SubsetAccuracy',
    'corruption_errors',
    'format_table',
    'summarise',
]
