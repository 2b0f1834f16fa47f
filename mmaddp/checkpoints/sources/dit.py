"""Files of DiT, SiT and REPA's authors, and of ``diffusers``: DiT and UNet2DModel."""

from __future__ import annotations

import torch
from torch import Tensor

from mmaddp.utils import UserError

from ..rules import Rule, Source, Tensors, drop, keep

DIT = Source(
    'dit',
    license='CC BY-NC 4.0 (DiT)',
    marks=[{'x_embedder.proj.weight', 'blocks.0.adaLN_modulation.1.weight'}],
    tables={
        'backbone': [
            # x: latents, t: timestep, y: label, as in DiT's code.
            keep('x_embedder.{rest}', 'patch_embed.{rest}'),
            keep('t_embedder.mlp.0.{rest}', 'condition.time.fc1.{rest}'),
            keep('t_embedder.mlp.2.{rest}', 'condition.time.fc2.{rest}'),
            keep('y_embedder.embedding_table.{rest}', 'condition.label.{rest}'),
            keep('blocks.{i}.adaLN_modulation.1.{rest}', 'blocks.{i}.modulation.{rest}'),
            keep('final_layer.adaLN_modulation.1.{rest}', 'head.modulation.{rest}'),
            keep('final_layer.linear.{rest}', 'head.proj.{rest}'),
            # REPA's, onto the features of a vision encoder
            drop('projectors.{rest}', 'projectors', 'only pre-training aligns features'),
            keep('{rest}'),
        ]
    },
)

BLOCK = 'transformer_blocks.{i}.'
IN_BLOCK = {
    'attn1.to_out.0': 'attn.proj',
    'ff.net.0.proj': 'mlp.fc1',
    'ff.net.2': 'mlp.fc2',
    'norm1.linear': 'modulation',
}
# Every block has these, and all blocks of a DiT the same ones.
EMBEDDINGS = 'transformer_blocks.0.norm1.emb.'
CONDITION = {
    'timestep_embedder.linear_1.{rest}': 'condition.time.fc1.{rest}',
    'timestep_embedder.linear_2.{rest}': 'condition.time.fc2.{rest}',
    'class_embedder.embedding_table.{rest}': 'condition.label.{rest}',
}
TRANSFORMER = [
    keep('pos_embed.pos_embed', 'pos_embed'),
    keep('pos_embed.proj.{rest}', 'patch_embed.proj.{rest}'),
    keep('proj_out_1.{rest}', 'head.modulation.{rest}'),
    keep('proj_out_2.{rest}', 'head.proj.{rest}'),
    *(keep(f'{BLOCK}{a}.{{rest}}', f'blocks.{{i}}.{b}.{{rest}}') for a, b in IN_BLOCK.items()),
    *(
        # Three matrices (C, C) become one (3 C, C).
        keep(f'{BLOCK}attn1.to_{name}.{{rest}}', 'blocks.{i}.attn.qkv.{rest}', piece=piece)
        for piece, name in enumerate('qkv')
    ),
    *(keep(EMBEDDINGS + a, b) for a, b in CONDITION.items()),
    drop(f'{BLOCK}norm1.emb.{{rest}}', 'embeddings', 'the same in all blocks'),
]


def transformer(tensors: Tensors) -> list[Rule]:
    """A DiT: queries, keys and values stacked, one embedding of the condition for all blocks.

    Raises:
        UserError: There are no positions, or blocks differ in their embeddings.
    """
    # The library computes the positions from its config and saves none.
    if 'pos_embed.pos_embed' not in tensors:
        raise UserError(
            'it lacks the size of the latents, which config.json beside it tells: name the folder'
        )
    for key, tensor in tensors.items():
        # Training in diffusers may let the blocks' embeddings drift apart.
        _, mark, name = key.partition('.norm1.emb.')
        if mark and not same(tensor, tensors.get(EMBEDDINGS + name, tensor)):
            raise UserError(
                f'{key} is not that of block 0: DDAEDiT has one embedding for all blocks; use '
                'this network in diffusers itself'
            )
    return TRANSFORMER


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal; those without values by their shapes."""
    if one.is_meta or other.is_meta:
        return one.shape == other.shape
    return torch.equal(one, other)


# Where a UNet2DModel is: in a checkpoint of ours, or in a file of its own.
UNET_PREFIXES = ('network.unet.', 'backbone.unet.', 'unet.', '')
UNET = ('conv_in.weight', 'down_blocks.0.resnets.0.conv1.weight')
# Attention before version 0.17, as the published pipelines of 2022 have it.
RENAMED = {'query': 'to_q', 'key': 'to_k', 'value': 'to_v', 'proj_attn': 'to_out.0'}


def unet(tensors: Tensors) -> list[Rule]:
    """A UNet2DModel as it is, its attention in the names that the library has today."""
    prefix = next(p for p in UNET_PREFIXES if all(p + name in tensors for name in UNET))
    attention = '{blocks}attentions.{i}.'
    rules = [
        keep(f'{prefix}{attention}{old}.{{rest}}', f'unet.{attention}{new}.{{rest}}')
        for old, new in RENAMED.items()
    ]
    return [
        *rules,
        keep(f'{prefix}{{rest}}', 'unet.{rest}'),
        drop('{rest}', '', 'another network has its own'),
    ]


DIFFUSERS = Source(
    'diffusers',
    marks=[
        {'transformer_blocks.0.attn1.to_q.weight', 'proj_out_2.weight'},
        *({prefix + name for name in UNET} for prefix in UNET_PREFIXES),
    ],
    tables={
        'backbone': lambda tensors: (
            transformer(tensors) if 'proj_out_2.weight' in tensors else unet(tensors)
        )
    },
    any_network=True,
)
