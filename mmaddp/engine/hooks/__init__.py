"""Hooks of the training."""

from .corrupt_images_hook import CorruptImagesHook
from .data_check_hook import DataCheckHook
from .denoising_visualization_hook import DenoisingVisualizationHook
from .finite_loss_hook import FiniteLossHook
from .loss_by_mask_ratio_hook import LossByMaskRatioHook
from .patch_visualization_hook import PatchVisualizationHook
from .pretrain_visualization_hook import PretrainVisualizationHook

__all__ = [
    'CorruptImagesHook',
    'DataCheckHook',
    'DenoisingVisualizationHook',
    'FiniteLossHook',
    'LossByMaskRatioHook',
    'PatchVisualizationHook',
    'PretrainVisualizationHook',
]
