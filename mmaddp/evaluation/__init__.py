from mmaddp.evaluation.corruption_error import (
    ALEXNET_ERRORS,
    CORRUPTIONS,
    SEVERITIES,
    CorruptionErrors,
    corruption_errors,
)
from mmaddp.evaluation.depth_accuracy import DepthAccuracy
from mmaddp.evaluation.grid_accuracy import GridAccuracy
from mmaddp.evaluation.noise_level_accuracy import NoiseLevelAccuracy
from mmaddp.evaluation.robustness_summary import format_table, summarize
from mmaddp.evaluation.subset_accuracy import SubsetAccuracy

__all__ = [
    'ALEXNET_ERRORS',
    'CORRUPTIONS',
    'SEVERITIES',
    'CorruptionErrors',
    'DepthAccuracy',
    'GridAccuracy',
    'NoiseLevelAccuracy',
    'SubsetAccuracy',
    'corruption_errors',
    'format_table',
    'summarize',
]
