"""The settings of all samplers on a command line."""

from __future__ import annotations

import argparse

from mmaddp.diffusion import ADDPSampler, DDIMSampler, HeunSampler, PatchSampler, TokenSampler
from mmaddp.diffusion.addp_sampler import SCHEDULES
from mmaddp.diffusion.image_samplers import VARIANCES

from .ddae import SAMPLERS
from .guided import GuidedSampler

# How the tools spell the settings of the samplers.
OPTIONS = {
    'sampler': '--sampler',
    'steps': '--steps',
    'schedule': '--schedule',
    'temperature': '--temperature',
    'decaying': '--static',
    'top_p': '--top-p',
    'eta': '--eta',
    'variance': '--variance',
    'S_churn': '--S-churn',
    'S_min': '--S-min',
    'S_max': '--S-max',
    'S_noise': '--S-noise',
    'clip': '--no-clip',
    'label': '--label',
    'guidance': '--guidance',
}
ABSENT = dict(default=argparse.SUPPRESS)


def add_sampler_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the settings of the samplers; those that are not given have their sampler's default."""
    group = parser.add_argument_group(
        'settings of the sampler', 'Those of another method than the model are refused.'
    )
    darl, ddim, heun = PatchSampler(), DDIMSampler(), HeunSampler()
    group.add_argument(
        '--steps',
        type=int,
        **ABSENT,
        help=f'ADDP: {ADDPSampler().steps}; DARL, of each patch: {darl.steps}; DDAE: DDIM '
        f'{ddim.steps}, Heun as many as the levels of EDM, {heun.steps}',
    )
    group.add_argument(
        '--eta',
        type=float,
        **ABSENT,
        help=f'DARL: 1 is ancestral sampling, 0 is DDIM ({darl.eta:g}); DDAE: share of the noise '
        f'in each step of DDIM ({ddim.eta:g})',
    )
    group.add_argument(
        '--no-clip',
        dest='clip',
        action='store_false',
        **ABSENT,
        help='DARL, DDAE: leave predictions outside the range of pixels',
    )
    add_token_arguments(group)
    add_image_arguments(group)
    add_guidance_arguments(group)


def add_token_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what only samplers of tokens have."""
    addp, tokens = ADDPSampler(), TokenSampler()
    group.add_argument('--schedule', choices=[*SCHEDULES], **ABSENT, help=f'ADDP: {addp.schedule}')
    group.add_argument(
        '--temperature',
        type=float,
        **ABSENT,
        help=f"ADDP, weight of the confidences' Gumbel noise: {addp.temperature}; DARL of tokens, "
        f'of the softmax: {tokens.temperature}',
    )
    group.add_argument(
        '--static',
        dest='decaying',
        action='store_false',
        **ABSENT,
        help='ADDP: the temperature does not decay',
    )
    group.add_argument(
        '--top-p',
        type=float,
        **ABSENT,
        help='ADDP, DARL of tokens: share of the probability that tokens are drawn from (1)',
    )


def add_image_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what only samplers of whole images have."""
    heun = HeunSampler()
    group.add_argument(
        '--sampler',
        choices=[*SAMPLERS],
        **ABSENT,
        help='DDAE: ddim or ancestral of DDPM (ddim), heun of EDM',
    )
    group.add_argument(
        '--variance',
        choices=VARIANCES,
        **ABSENT,
        help=f'DDAE, ancestral: of the noise in each step ({VARIANCES[0]})',
    )
    for name, what in (
        ('S_churn', 'noise added in all steps together, as EDM counts it'),
        ('S_min', 'smallest sigma at which noise is added'),
        ('S_max', 'largest sigma at which noise is added'),
        ('S_noise', 'factor of the added noise'),
    ):
        group.add_argument(
            OPTIONS[name],
            type=float,
            **ABSENT,
            dest=name,
            help=f'DDAE, Heun: {what} ({getattr(heun, name):g})',
        )


def add_guidance_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what only a noise-conditional classifier has, which guides its DDAE."""
    group.add_argument(
        '--label',
        type=int,
        **ABSENT,
        help='noise-conditional classifier: the class of all images, from 0 on',
    )
    group.add_argument(
        '--guidance',
        type=float,
        **ABSENT,
        help='noise-conditional classifier: s of the guidance toward it '
        f'({GuidedSampler.guidance:g})',
    )
