"""DDAE's training files, and NVIDIA's networks of EDM, which are recognized and refused.

DDAE's authors save 'MODEL', the weights of the last step, and 'EMA', their moving average, which
they generate and probe with; that word in front of a name tells which it is.
"""

from __future__ import annotations

from collections.abc import Collection

from mmaddp.utils import UserError

from ..rules import Rule, Source, Tensors, drop, keep

AVERAGE = 'EMA.ema_model.nn_model.'
LAST = 'its moving average is used'
STATE = 'only training uses it'
LAYERS = {
    'image_proj': 'conv_in',
    'time_emb.lin1': 'time_embed.fc1',
    'time_emb.lin2': 'time_embed.fc2',
    'time_emb.aug_emb': 'time_embed.augment',
    'norm': 'norm_out',
    'final': 'conv_out',
    **{f'{way}.{{i}}.conv': f'{way}.{{i}}.conv' for way in ('down', 'up')},
}
# Residual blocks; those named 'op' change the resolution.
BLOCKS = {
    **{f'{way}.{{i}}.res': f'{way}.{{i}}.res' for way in ('down', 'up')},
    **{f'{way}.{{i}}.op': f'{way}.{{i}}' for way in ('down', 'up')},
    'middle.res1': 'middle.0.res',
    'middle.res2': 'middle.1.res',
}
IN_BLOCK = {
    'norm1': 'norm1',
    'conv1': 'conv1',
    'time_emb.1': 'time',
    'norm2': 'norm2',
    'conv2.1': 'conv2',
    'shortcut': 'shortcut',
}
ATTENTION = {
    **{f'{way}.{{i}}.attn': f'{way}.{{i}}.attn' for way in ('down', 'up')},
    'middle.attn': 'middle.0.attn',
}
IN_ATTENTION = {'norm': 'norm', 'projection': 'qkv', 'output': 'proj'}
NAMES = {
    **LAYERS,
    **{f'{a}.{c}': f'{b}.{d}' for a, b in BLOCKS.items() for c, d in IN_BLOCK.items()},
    **{f'{a}.{c}': f'{b}.{d}' for a, b in ATTENTION.items() for c, d in IN_ATTENTION.items()},
}


def averaged(target: str = '') -> list[Rule]:
    """The averaged network, behind a prefix."""
    return [
        *(
            keep(f'{AVERAGE}{theirs}.{{rest}}', f'{target}{ours}.{{rest}}')
            for theirs, ours in NAMES.items()
        ),
        # The average's own copy of the weights of the last step, and the file's.
        drop('EMA.online_model.{rest}', 'last step', LAST),
        drop('MODEL.{rest}', 'last step', LAST),
        drop('EMA.initted', 'state of the average', STATE),
        drop('EMA.step', 'state of the average', STATE),
    ]


DDAE = Source(
    'ddae',
    marks=[{'EMA.'}, {'MODEL.'}],
    needs={
        AVERAGE: 'it holds no EMA weights, which are the ones to use: name a training file with '
        "'ema_model.nn_model.*' under 'EMA'"
    },
    tables={'backbone': averaged(), 'pretrain': averaged('network.')},
)

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
    # ADM ends in out_norm; only NCSN++ has Fourier features or skips of the image.
    if any('out_norm.' in key for key in keys):
        return 'ADM'
    return 'NCSN++' if any('.freqs' in key or '_aux_residual' in key for key in keys) else 'DDPM++'


def other_function(tensors: Tensors) -> list[Rule]:
    """No rules.

    Raises:
        UserError: Always: says which network it is and what it computes otherwise.
    """
    # The file does not name its class, so the names of the layers must tell.
    name = network_name(tensors)
    network = 'DhariwalUNet' if name == 'ADM' else 'SongUNet'
    why = DDPMPP if name == 'DDPM++' else OTHERS[name]
    raise UserError(
        f'its network is {network} of NVlabs/edm ({name}), which is not the function that '
        f'DDAEUNet computes: {why}; {WAY}'
    )


EDM = Source(
    'edm',
    license='CC BY-NC-SA 4.0 (EDM)',
    # Inside the preconditioning of EDM, and alone.
    marks=[{'model.map_layer0.weight'}, {'map_layer0.weight'}],
    tables={'backbone': other_function, 'pretrain': other_function},
)
