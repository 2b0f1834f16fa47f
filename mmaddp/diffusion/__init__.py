"""The mathematics of the diffusion processes, without a network."""

from .mappings import MAPPINGS
from .mask_schedule import MaskSchedule, masks_from_noise
from .sampler import ImageNoise, Sampler, Step

__all__ = ['MAPPINGS', 'ImageNoise', 'MaskSchedule', 'Sampler', 'Step', 'masks_from_noise']
