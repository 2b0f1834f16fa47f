"""The mathematics of the diffusion processes, without a network."""

from .mappings import MAPPINGS
from .mask_schedule import MaskSchedule, masks_from_noise
from .noise_levels import BetaNoise
from .patch_sampler import MeanSampler, PatchSampler, Placed, TokenSampler
from .sampler import ImageNoise, Sampler, Step

__all__ = [
    'MAPPINGS',
    'BetaNoise',
    'ImageNoise',
    'MaskSchedule',
    'MeanSampler',
    'PatchSampler',
    'Placed',
    'Sampler',
    'Step',
    'TokenSampler',
    'masks_from_noise',
]
