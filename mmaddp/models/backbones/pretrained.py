"""A backbone's weights out of any published file, fitted to the module that the config builds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

from mmengine.logging import print_log
from torch import Tensor, nn

from mmaddp.checkpoints import read_checkpoint
from mmaddp.checkpoints.convert import convert_with_summary
from mmaddp.checkpoints.engine import shortened
from mmaddp.checkpoints.sources.darl import is_darl
from mmaddp.checkpoints.sources.dit import HEAD, is_dit
from mmaddp.utils import UserError

from ..layers import interpolate_pos_embed, interpolate_rel_pos

State = dict[str, Tensor]
ARCHITECTURES = {(768, 12): 'base', (1024, 24): 'large', (1280, 32): 'huge'}
PREFIX_TOKENS = {'cls_token': 'class token', 'start_token': 'start token'}


def load_pretrained_backbone(module: nn.Module, path: str | Path) -> None:
    """Load a published or converted file, or a checkpoint of ours, into a plain ViT.

    The layout is recognized and converted; then what the module lacks or has in another size is
    adapted, each step with a line in the log: class or start token and norms that it has no place
    for are dropped, absolute positions resized bicubically, relative ones linearly. Norms and
    relative positions that the file lacks stay as initialized, unless the norms are frozen. The
    rest is loaded strictly, and nothing is loaded if anything does not fit.

    Attention masks and patch orders are no weights: an encoder that was pre-trained causally
    fills one without a mask.

    Args:
        module: :class:`mmaddp.models.ADDPViT`, :class:`mmaddp.models.DARLViT`,
            :class:`mmaddp.models.DDAEDiT`, or another module with the names of one of them.
        path: Any file that :func:`mmaddp.checkpoints.read_checkpoint` reads.

    Raises:
        UserError: The file cannot be read or converted, or does not fit the module; the message
            names file, keys and remedy.
    """
    checkpoint = read_checkpoint(path)
    try:
        layout, conversion = convert_with_summary(
            checkpoint, 'auto', 'backbone', keep_on_request=True
        )
        check_kind(conversion.state_dict, module)
        refuse_frozen_norms(conversion.state_dict, module)
        state, notes = fit(conversion.state_dict, module.state_dict())
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    module.load_state_dict(state, strict=True)
    print_log(f"{path} ('{layout.name}') loaded: {'; '.join(notes) or 'as it is'}", 'current')


def check_kind(state: State, module: nn.Module) -> None:
    """Refuse the encoder of one method for the module of another."""
    file, config = kind(state), kind(module.state_dict())
    if file and file != config and (config or file == 'DDAEUNet'):
        raise UserError(
            f'holds the encoder of {file}, the config builds {type(module).__name__}: set '
            f"type='mmaddp.{file}' in the backbone, or name another file"
        )


def kind(state: State) -> str:
    """The network that a state dict is of, by its names; empty where they are of several."""
    if 'conv_in.weight' in state:
        return 'DDAEUNet'
    if is_dit(state, ''):
        return 'DDAEDiT'
    if is_darl(state, ''):
        return 'DARLViT'
    is_addp = 'cls_token' in state or any('rel_pos' in name for name in state)
    return 'ADDPViT' if is_addp else ''


def refuse_frozen_norms(state: State, module: nn.Module) -> None:
    """Refuse a file without a norm that the module has and would never train."""
    lacking = {
        name.split('.')[0]
        for name, parameter in module.named_parameters()
        if is_outer_norm(name) and name not in state and not parameter.requires_grad
    }
    if lacking:
        raise UserError(
            f'lacks {" and ".join(sorted(lacking))}, which is frozen here: name the published file'
        )


def fit(state: State, wanted: State) -> tuple[State, list[str]]:
    """A file's encoder as the module wants it, and what was done to it, in words."""
    state, note = without_unreached(state, wanted)
    check_architecture(state, wanted)
    notes = [note] if note else []
    for step in STEPS:
        state, note = step(state, wanted)
        notes += [note] if note else []
    check_fit(state, wanted)
    return state, notes


def without_unreached(state: State, wanted: State) -> tuple[State, str]:
    """Drop what stands behind the last block of a truncated diffusion transformer."""
    if not is_dit(wanted, '') or any(name in wanted for name in HEAD):
        return state, ''
    depth = architecture(wanted)[1]
    dropped = {
        name
        for name in state
        if name in HEAD or (name.startswith('blocks.') and int(name.split('.')[1]) >= depth)
    }
    note = f'what stands behind layer-{depth - 1} dropped' if dropped else ''
    return {name: tensor for name, tensor in state.items() if name not in dropped}, note


def check_architecture(state: State, wanted: State) -> None:
    """Refuse a file of another width or depth, with the setting that would build it."""
    file, config = architecture(state), architecture(wanted)
    if file == config:
        return
    name = ARCHITECTURES.get(file)
    remedy = (
        repr(name) if name else f'dict(embed_dims={file[0]}, num_layers={file[1]}, num_heads=…)'
    )
    raise UserError(
        f'holds {describe(file)}, the config builds {describe(config)}: set arch={remedy}'
    )


def architecture(state: State) -> tuple[int, int]:
    """Channels and blocks."""
    blocks = {name.split('.')[1] for name in state if name.startswith('blocks.')}
    return len(state['patch_embed.proj.weight']), len(blocks)


def describe(sizes: tuple[int, int]) -> str:
    """An architecture in words."""
    name = ARCHITECTURES.get(sizes)
    return (
        f'{f"ViT-{name[0].upper()}" if name else "a ViT"} ({sizes[0]} channels, {sizes[1]} blocks)'
    )


def without_prefix_token(state: State, wanted: State) -> tuple[State, str]:
    """Drop class or start token and its position for a module that has none."""
    for token, words in PREFIX_TOKENS.items():
        if token in state and token not in wanted:
            state = {name: tensor for name, tensor in state.items() if name != token}
            if 'pos_embed' not in state:
                return state, f'{words} dropped'
            state['pos_embed'] = state['pos_embed'][:, 1:]
            return state, f'{words} and its position dropped'
    return state, ''


def without_unwanted_norms(state: State, wanted: State) -> tuple[State, str]:
    """Drop the norms after embeddings and last block for a module that has none."""
    dropped = [name for name in state if is_outer_norm(name) and name not in wanted]
    note = f'{", ".join(sorted({n.split(".")[0] for n in dropped}))} dropped' if dropped else ''
    return {name: tensor for name, tensor in state.items() if name not in dropped}, note


def is_outer_norm(name: str) -> bool:
    """Whether a parameter belongs to a norm outside the blocks."""
    return name.startswith(('embed_norm.', 'norm.'))


def resized_positions(state: State, wanted: State) -> tuple[State, str]:
    """Resize the learned absolute positions to the module's grid."""
    if 'pos_embed' not in state or 'pos_embed' not in wanted:
        return state, ''
    (before, prefix), (after, wanted_prefix) = (grid(s['pos_embed']) for s in (state, wanted))
    if before == after or prefix != wanted_prefix:
        return state, ''
    positions = interpolate_pos_embed(state['pos_embed'], (after, after), prefix)
    note = f'positions resized from {before} x {before} to {after} x {after}'
    return {**state, 'pos_embed': positions}, note


def grid(pos_embed: Tensor) -> tuple[int, int]:
    """Side of the square grid of positions, and how many stand before it: a token's, or none."""
    side = math.isqrt(pos_embed.shape[1])
    return side, pos_embed.shape[1] - side * side


def resized_relative_positions(state: State, wanted: State) -> tuple[State, str]:
    """Resize tables of relative positions that were made for other windows or inputs."""
    resized = {
        name: interpolate_rel_pos(table, (len(wanted[name]) + 1) // 2)
        for name, table in state.items()
        if 'rel_pos' in name and name in wanted and len(table) != len(wanted[name])
    }
    note = f'{len(resized)} tables of relative positions resized' if resized else ''
    return {**state, **resized}, note


def as_initialized(state: State, wanted: State) -> tuple[State, str]:
    """Keep the module's own norms and relative positions where the file has none."""
    own = {
        name: tensor
        for name, tensor in wanted.items()
        if name not in state and ('rel_pos' in name or is_outer_norm(name))
    }
    kinds = sorted({'rel_pos' if 'rel_pos' in name else name.split('.')[0] for name in own})
    return {**state, **own}, f'{", ".join(kinds)} left as initialized' if own else ''


STEPS: tuple[Callable[[State, State], tuple[State, str]], ...] = (
    without_prefix_token,
    without_unwanted_norms,
    resized_positions,
    resized_relative_positions,
    as_initialized,
)


def check_fit(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse a file that does not fit, before anything is loaded."""
    missing = [name for name in wanted if name not in state]
    left_over = [name for name in state if name not in wanted]
    shapes = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    complaints = {
        'missing': missing,
        'left over': left_over,
        'wrong shape': [
            f'{name} is {tuple(state[name].shape)}, the config builds {tuple(wanted[name].shape)}'
            for name in shapes
        ],
    }
    message = '; '.join(
        f'{what}: {shortened(names)}' for what, names in complaints.items() if names
    )
    if message:
        raise UserError(
            f'does not fit the config ({message}); {remedy(missing, left_over, shapes)}'
        )


def remedy(missing: list[str], left_over: list[str], shapes: list[str]) -> str:
    """The setting that would make the file fit."""
    if 'cls_token' in missing:
        return 'the file has no class token: set with_cls_token=False'
    if 'start_token' in missing:
        return 'the file has no start token: set with_start_token=False'
    if 'query_token' in missing:
        return 'a backbone file has no query stream: set two_stream=False'
    if 'pos_embed' in missing:
        return "the file has no learned positions: set positions as in its pre-training ('rope-2d')"
    if 'pos_embed' in left_over:
        return "the file has learned positions: set positions='learnable'"
    if 'head.proj.weight' in missing:
        return 'the file is truncated: name the file of the whole network'
    if 'condition.label.weight' in shapes:
        return 'set num_classes as the file has it, without the null class'
    if any('rel_pos' in name for name in left_over):
        return 'the file has relative positions: set use_rel_pos=True'
    if any('rel_pos' in name for name in shapes):
        return 'set num_heads as the file has it'
    if any('mlp' in name for name in shapes):
        return 'set mlp_ratio as the file has it'
    if any('patch_embed' in name for name in shapes):
        return 'set patch_size and in_channels as the file has them'
    if 'head.proj.weight' in shapes:
        return 'set learn_sigma as the file has it: twice the channels with it'
    return 'set the backbone of the config as the file has it'
