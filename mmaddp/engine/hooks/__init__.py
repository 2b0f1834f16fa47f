"""Hooks of the training."""

from .corrupt_images_hook import CorruptImagesHook
from .data_check_hook import DataCheckHook
from .feature_bank_hook import FeatureBankHook
from .finite_loss_hook import FiniteLossHook
from .loss_by_mask_ratio_hook import LossByMaskRatioHook
from .shared_buffers_hook import SharedBuffersHook
from .visualization_hook import VisualizationHook

__all__ = [
    'CorruptImagesHook',
    'DataCheckHook',
    'FeatureBankHook',
    'FiniteLossHook',
    'LossByMaskRatioHook',
    'SharedBuffersHook',
    'VisualizationHook',
]
