"""Hooks of the training."""

from .checkpoint_hook import CheckpointHook
from .corrupt_images_hook import CorruptImagesHook
from .data_check_hook import DataCheckHook
from .denoising_visualization_hook import DenoisingVisualizationHook
from .finite_loss_hook import FiniteLossHook
from .iteration_seed_hook import IterationSeedHook
from .loss_by_mask_ratio_hook import LossByMaskRatioHook
from .patch_visualization_hook import PatchVisualizationHook
from .pretrain_visualization_hook import PretrainVisualizationHook

__all__ = [
    'CheckpointHook',
    'CorruptImagesHook',
    'DataCheckHook',
    'DenoisingVisualizationHook',
    'FiniteLossHook',
    'IterationSeedHook',
    'LossByMaskRatioHook',
    'PatchVisualizationHook',
    'PretrainVisualizationHook',
]
