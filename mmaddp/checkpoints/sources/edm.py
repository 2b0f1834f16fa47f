"""NVIDIA's networks of EDM (NVlabs/edm): recognized, and why no network here takes them."""

from __future__ import annotations

from collections.abc import Collection

from mmaddp.utils import UserError

from ..rules import Rule, Source

# Of SongUNet and DhariwalUNet inside their preconditioning, and alone.
MARKS = ('model.map_layer0.weight', 'map_layer0.weight')
# Where DDPM++ there and DDAEUNet(resblock_updown=True) compute something else.
DDPMPP = (
    'its residual sums are multiplied by sqrt(1/2), the shortcuts of its resampling blocks have '
    'convolutions, its norms have eps=1e-6 and 32 groups in front of the output, and on the way up '
    'only the last block of a resolution attends'
)
OTHERS = {
    'NCSN++': 'it reads the image again at every resolution and filters when it resamples',
    'ADM': 'the noise level scales its norms, and its attention has several heads',
}
WAY = (
    "take DDAE's own training files of DDPM++ by EDM (source 'ddae'), or train it: "
    'configs/pretrain/ddae'
)


def network_name(keys: Collection[str]) -> str:
    """'DDPM++', 'NCSN++' or 'ADM', which the names of the layers tell."""
    if any('out_norm.' in key for key in keys):
        return 'ADM'
    return 'NCSN++' if any('.freqs' in key or '_aux_residual' in key for key in keys) else 'DDPM++'


def refused(keys: Collection[str]) -> list[Rule]:
    """No rules.

    Raises:
        UserError: Always; says which network it is and what it computes otherwise.
    """
    name = network_name(keys)
    network = 'DhariwalUNet' if name == 'ADM' else 'SongUNet'
    why = DDPMPP if name == 'DDPM++' else OTHERS[name]
    raise UserError(
        f'its network is {network} of NVlabs/edm ({name}), which is not the function that '
        f'DDAEUNet computes: {why}; {WAY}'
    )


EDM = Source(
    'edm',
    "map_layer0.*, enc.* and dec.* (NVIDIA's networks of EDM)",
    lambda keys: any(mark in keys for mark in MARKS),
    {'backbone': refused, 'pretrain': refused},
)
