"""Networks of the library ``diffusers``: DiT for DDAEDiT, UNet2DModel for DiffusersUNet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmaddp.utils import UserError

from ..rules import Rule, Source, drop, keep

# Name there, name here, sizes; symbols are those of :mod:`.dit`.
BLOCK = {
    'attn1.to_out.0': ('attn.proj', 'C C'),
    'ff.net.0.proj': ('mlp.fc1', 'M C'),
    'ff.net.2': ('mlp.fc2', 'C M'),
    'norm1.linear': ('modulation', '6C C'),
}
ENDS = {
    'pos_embed.proj': ('patch_embed.proj', 'C I P P', 'embeddings'),
    'proj_out_1': ('head.modulation', '2C C', 'output layer'),
    'proj_out_2': ('head.proj', 'O C', 'output layer'),
}
# Every block has these, and all blocks of a DiT the same ones.
CONDITION = {
    'timestep_embedder.linear_1.weight': ('condition.time.fc1.weight', 'C F'),
    'timestep_embedder.linear_1.bias': ('condition.time.fc1.bias', 'C'),
    'timestep_embedder.linear_2.weight': ('condition.time.fc2.weight', 'C C'),
    'timestep_embedder.linear_2.bias': ('condition.time.fc2.bias', 'C'),
    'class_embedder.embedding_table.weight': ('condition.label.weight', '* C'),
}
QKV = ('to_q', 'to_k', 'to_v')
# Where a UNet2DModel is: in a checkpoint of ours, in a file of its own.
UNET_PREFIXES = ('network.unet.', 'backbone.unet.', 'unet.', '')
# Attention before version 0.17, as the published pipelines of 2022 have it.
RENAMED = {'query': 'to_q', 'key': 'to_k', 'value': 'to_v', 'proj_attn': 'to_out.0'}


def is_dit(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are a DiT's."""
    return {'transformer_blocks.0.attn1.to_q.weight', 'proj_out_2.weight'} <= set(tensors)


def unet_prefix(tensors: Mapping[str, Tensor]) -> str | None:
    """Where a UNet2DModel is; None when it is nowhere."""
    for prefix in UNET_PREFIXES:
        if {f'{prefix}conv_in.weight', f'{prefix}down_blocks.0.resnets.0.conv1.weight'} <= set(
            tensors
        ):
            return prefix
    return None


def backbone(tensors: Mapping[str, Tensor]) -> list[Rule]:
    """The whole network, under the names of the module that takes it."""
    return transformer(tensors) if is_dit(tensors) else unet(tensors)


def transformer(tensors: Mapping[str, Tensor]) -> list[Rule]:
    """A DiT: queries, keys and values stacked, one embedding of the condition for all blocks.

    Raises:
        UserError: There are no positions, or blocks differ in their embeddings.
    """
    if 'pos_embed.pos_embed' not in tensors:
        raise UserError(
            'it lacks the size of the latents, which config.json beside it tells: name the folder'
        )
    block = 'transformer_blocks.{i}'
    rules = [keep('pos_embed.pos_embed', 'pos_embed', '1 G^2 C', 'embeddings')]
    for theirs, (ours, shape, part) in ENDS.items():
        rules += pair(theirs, ours, shape, part)
    for theirs, (ours, shape) in BLOCK.items():
        rules += pair(f'{block}.{theirs}', f'blocks.{{i}}.{ours}', shape, 'blocks')
    for piece, name in enumerate(QKV):
        rules += pair(f'{block}.attn1.{name}', 'blocks.{i}.attn.qkv', 'C C', 'blocks', piece=piece)
    return [*rules, *conditions(tensors)]


def pair(theirs: str, ours: str, shape: str, part: str, **options: object) -> list[Rule]:
    """Weight and bias of a layer."""
    return [
        keep(f'{theirs}.weight', f'{ours}.weight', shape, part, **options),
        keep(f'{theirs}.bias', f'{ours}.bias', shape.split()[0], part, **options),
    ]


def conditions(tensors: Mapping[str, Tensor]) -> list[Rule]:
    """The embedding of timesteps and classes, which stands in every block.

    Raises:
        UserError: The copies differ.
    """
    rules, number = [], 0
    while f'transformer_blocks.{number}.norm1.linear.weight' in tensors:
        for name, (ours, shape) in CONDITION.items():
            key = f'transformer_blocks.{number}.norm1.emb.{name}'
            first = f'transformer_blocks.0.norm1.emb.{name}'
            if number == 0:
                rules.append(keep(key, ours, shape, 'embeddings'))
                continue
            if key in tensors and first in tensors and not same(tensors[key], tensors[first]):
                raise UserError(
                    f'{key} is not that of block 0: DDAEDiT has one embedding for all blocks; use '
                    'this network in diffusers itself'
                )
            rules.append(drop(key, 'embeddings', 'the same in all blocks'))
        number += 1
    return rules


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal; those without values by their shapes."""
    if one.is_meta or other.is_meta:
        return one.shape == other.shape
    return torch.equal(one, other)


def unet(tensors: Mapping[str, Tensor]) -> list[Rule]:
    """A UNet2DModel as it is, its attention in the names that the library has today."""
    prefix = unet_prefix(tensors) or ''
    return [
        keep(key, f'unet.{today(key[len(prefix) :])}', '', key[len(prefix) :].partition('.')[0])
        if key.startswith(prefix)
        else drop(key, key.partition('.')[0], 'another network has its own')
        for key in tensors
    ]


def today(name: str) -> str:
    """A tensor's name in the library's present version."""
    words = name.split('.')
    if 'attentions' in words:
        words = [RENAMED.get(word, word) for word in words]
    return '.'.join(words)


DIFFUSERS = Source(
    'diffusers',
    'transformer_blocks.*.attn1.to_q.* and proj_out_2.* (DiT), or down_blocks.*.resnets.* and '
    'conv_in.* (UNet2DModel), of a folder of diffusers',
    lambda tensors: is_dit(tensors) or unet_prefix(tensors) is not None,
    {'backbone': backbone},
)
