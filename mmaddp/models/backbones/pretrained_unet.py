"""A UNet's weights out of any file that holds them."""

from __future__ import annotations

from pathlib import Path

from mmengine.logging import print_log
from torch import Tensor, nn

from mmaddp.checkpoints import read_checkpoint
from mmaddp.checkpoints.convert import convert_with_summary
from mmaddp.checkpoints.sources.ddae import AUGMENT, OUTPUT_PREFIXES, Kind, stack_kinds
from mmaddp.utils import UserError

from ..pretrained_part import listed

State = dict[str, Tensor]


def load_pretrained_unet(module: nn.Module, path: str | Path) -> None:
    """Load the authors' training file, a converted one or a checkpoint of ours into a UNet.

    The layout is recognized and converted. A truncated network leaves out what it has no place
    for, which the log says; everything else is loaded strictly.

    Args:
        module: :class:`mmaddp.models.DDAEUNet`.
        path: Any file that :func:`mmaddp.checkpoints.read_checkpoint` reads.

    Raises:
        UserError: The file cannot be read or converted, or is of another size; the message names
            the file and the settings that would fit. Nothing is loaded then.
    """
    checkpoint = read_checkpoint(path)
    try:
        layout, conversion = convert_with_summary(checkpoint, 'auto', 'backbone')
        state, dropped = fit(conversion.state_dict, module.state_dict())
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    module.load_state_dict(state, strict=True)
    note = f'{dropped} tensors behind the truncation dropped' if dropped else 'as it is'
    print_log(f"{path} ('{layout.name}') loaded: {note}", 'current')


def fit(state: State, wanted: State) -> tuple[State, int]:
    """A file's network as the module wants it, and how many tensors the truncation drops.

    Raises:
        UserError: The file holds another network, or one truncated further down.
    """
    if 'conv_in.weight' not in state or 'down.0.res.conv1.weight' not in state:
        raise UserError('holds no UNet of DDAE: name a file that does, or another backbone')
    check_settings(settings(state), settings(wanted))
    missing = [name for name in wanted if name not in state]
    if missing:
        raise UserError(
            f'is truncated: it lacks {missing[0]} and {len(missing) - 1} more; name the file of '
            'the whole network, or an earlier block in out_blocks'
        )
    return {name: state[name] for name in wanted}, len(state) - len(wanted)


def check_settings(holds: dict[str, object], builds: dict[str, object]) -> None:
    """Refuse a file of another size, with the settings that would build it."""
    differing = [name for name in holds if name in builds and holds[name] != builds[name]]
    if differing:
        raise UserError(
            f'holds a UNet with {listed(holds, differing)}, the config builds '
            f'{listed(builds, differing)}: set {listed(holds, differing)}'
        )


def settings(state: State) -> dict[str, object]:
    """The arguments of DDAEUNet that build a network with these tensors.

    That is all but the augmentations' embedding where the network is truncated, and the dropout.
    """
    base_channels, in_channels = state['conv_in.weight'].shape[:2]
    stages = split_stages(state)
    widths = [len(state[f'down.{indices[0]}.res.conv1.weight']) for indices in stages]
    sizes = dict(
        in_channels=in_channels,
        base_channels=base_channels,
        channel_multipliers=tuple(width // base_channels for width in widths),
        attention_stages=tuple(
            stage
            for stage, indices in enumerate(stages)
            if f'down.{indices[0]}.attn.qkv.weight' in state
        ),
        num_blocks=len(stages[0]),
        resblock_updown=Kind.RESAMPLING_BLOCK in stack_kinds(state, 'down'),
    )
    if is_whole(state):
        sizes['augment_dim'] = state[AUGMENT].shape[1] if AUGMENT in state else 0
    return sizes


def split_stages(state: State) -> list[list[int]]:
    """Places in ``down`` of the blocks at each resolution."""
    stages: list[list[int]] = [[]]
    for index, kind in enumerate(stack_kinds(state, 'down')):
        if kind is Kind.BLOCK:
            stages[-1].append(index)
        else:
            stages.append([])
    return stages


def is_whole(state: State) -> bool:
    """Whether the network predicts."""
    return any(name.startswith(OUTPUT_PREFIXES) for name in state)
