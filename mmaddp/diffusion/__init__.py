"""The mathematics of the diffusion processes, without a network."""

from .augmentation import NonLeakingAugmentation
from .guidance import ClassifierGuidance
from .image_samplers import AncestralSampler, DDIMSampler, Denoised, HeunSampler
from .mappings import MAPPINGS
from .mask_schedule import MaskSchedule, masks_from_noise
from .noise_levels import BetaNoise
from .patch_sampler import MeanSampler, PatchSampler, Placed, TokenSampler
from .processes import DDPM, EDM, DiffusionProcess
from .sampler import ImageNoise, Sampler, Step

__all__ = [
    'DDPM',
    'EDM',
    'MAPPINGS',
    'AncestralSampler',
    'BetaNoise',
    'ClassifierGuidance',
    'DDIMSampler',
    'Denoised',
    'DiffusionProcess',
    'HeunSampler',
    'ImageNoise',
    'MaskSchedule',
    'MeanSampler',
    'NonLeakingAugmentation',
    'PatchSampler',
    'Placed',
    'Sampler',
    'Step',
    'TokenSampler',
    'masks_from_noise',
]
