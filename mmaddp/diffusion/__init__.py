"""The mathematics of the diffusion processes, without a network."""

from .addp_sampler import ADDPSampler, Step
from .augmentation import NonLeakingAugmentation
from .guidance import ClassifierGuidance
from .image_noise import ImageNoise
from .image_samplers import (
    AncestralSampler,
    DDIMSampler,
    Denoised,
    HeunSampler,
    ImageSampler,
    samplers_of,
)
from .mage_sampler import MAGESampler, MAGEStep
from .mappings import MAPPINGS
from .mask_schedule import MaskSchedule, masks_from_noise
from .noise_levels import BetaNoise
from .patch_sampler import MeanSampler, PatchSampler, PatchStep, TokenSampler
from .processes import DDPM, EDM, DiffusionProcess, FlowMatching, scheduler_process

__all__ = [
    'DDPM',
    'EDM',
    'MAPPINGS',
    'ADDPSampler',
    'AncestralSampler',
    'BetaNoise',
    'ClassifierGuidance',
    'DDIMSampler',
    'Denoised',
    'DiffusionProcess',
    'FlowMatching',
    'HeunSampler',
    'ImageNoise',
    'ImageSampler',
    'MAGESampler',
    'MAGEStep',
    'MaskSchedule',
    'MeanSampler',
    'NonLeakingAugmentation',
    'PatchSampler',
    'PatchStep',
    'Step',
    'TokenSampler',
    'masks_from_noise',
    'samplers_of',
    'scheduler_process',
]
