"""Plain vision transformers: MAE's releases, DINOv2's, timm's, MMPretrain's, transformers'."""

from __future__ import annotations

import math
import re
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ..judge import size_of
from ..rules import Rule, Source, Tensors, drop, keep, refuse

OTHER_HEAD = 'another task has another head'
POOLED = 'it belongs to the classification head'
DECODER = 'only pre-training decodes'
MASKS = 'only pre-training masks'
SCALE = 'layer scale'


def embeddings(tensors: Tensors) -> list[Rule]:
    """Rules for positions and registers, which timm has in three ways.

    Ours have a position for the class token and none for registers, as DINOv2's authors have it.
    """
    # R registers, and P positions: N, 1 + N, R + N or 1 + R + N of N = side * side patches.
    registers, count = (size_of(tensors, (name, 1)) for name in ('reg_token', 'pos_embed'))
    cls = int('cls_token' in tensors)
    if cls and is_square(count):
        # No position for the class token (DeiT III, timm's DINOv2 with registers): zero adds none.
        note = 'a zero position added for the class token'
        position = keep('pos_embed', transform=partial(F.pad, pad=(0, 0, 1, 0)), note=note)
        return [position, keep('reg_token', part='registers')]
    if registers and not is_square(count - cls) and is_square(count - cls - registers):
        # Positions for the registers too: the sums are registers without positions.
        theirs = tensors['pos_embed'][:, cls : cls + registers]
        note = 'their positions added'
        return [
            keep('pos_embed', transform=partial(without_registers, cls=cls, registers=registers)),
            keep('reg_token', part='registers', transform=theirs.add, note=note),
        ]
    return [keep('pos_embed'), keep('reg_token', part='registers')]


def is_square(count: int) -> bool:
    """Whether a number of positions is that of a square grid."""
    return count > 0 and math.isqrt(count) ** 2 == count


def without_registers(pos_embed: Tensor, cls: int, registers: int) -> Tensor:
    """Drop the positions of registers: (1, [1 +] R + N, C) -> (1, [1 +] N, C)."""
    return torch.cat([pos_embed[:, :cls], pos_embed[:, cls + registers :]], dim=1)


def timm_names(tensors: Tensors) -> list[Rule]:
    """timm's names, which are ours, and MAE's and DINOv2's additions to them."""
    # DINOv2 trains its blocks in chunks: block 7 may be 'blocks.1.7'.
    chunks = {
        found[1] for found in (re.match(r'blocks\.(\d+)\.\d+\.', name) for name in tensors) if found
    }
    return [
        drop('fc_norm.{rest}', 'pooled norm', POOLED),
        # SigLIP pools by attention.
        drop('attn_pool.{rest}', 'pooling', POOLED),
        *(drop(f'{name}.{{rest}}', 'head', OTHER_HEAD) for name in ('head', 'head_drop')),
        drop('pre_logits.{rest}', 'head', OTHER_HEAD),
        drop('mask_token', 'decoder', DECODER),
        drop('decoder_{rest}', 'decoder', DECODER),
        # Layers that our ViTs do not have.
        refuse('norm_pre.{rest}', 'a norm before the first block'),
        refuse('dist_token', 'a distillation token'),
        refuse('blocks.{i}.attn.q_norm.{rest}', 'a norm on the queries'),
        refuse('blocks.{i}.attn.k_norm.{rest}', 'a norm on the keys'),
        refuse('blocks.{i}.mlp.w12.{rest}', 'SwiGLU'),
        refuse('blocks.{i}.mlp.w3.{rest}', 'SwiGLU'),
        *embeddings(tensors),
        keep('register_tokens', 'reg_token', part='registers'),
        *(
            keep(f'blocks.{chunk}{{i}}.ls{n}.gamma', f'blocks.{{i}}.ls{n}.gamma', SCALE)
            for chunk in ('', *(f'{chunk}.' for chunk in chunks))
            for n in (1, 2)
        ),
        # Indices of blocks run through all chunks, so the chunk is dropped.
        *(keep(f'blocks.{chunk}.{{i}}.{{rest}}', 'blocks.{i}.{rest}') for chunk in sorted(chunks)),
        keep('norm.{rest}', part='final norm'),
        keep('{rest}'),
    ]


# A norm behind the blocks or behind pooling tells these files from ours. A class token is not
# needed: SigLIP, I-JEPA and timm's models with average pooling have none.
MAE = Source(
    'mae',
    license='CC BY-NC 4.0 if from MAE, else as the authors of the file say',
    marks=[
        {first, 'pos_embed', 'patch_embed.proj.weight', norm}
        for first in ('blocks.0.norm1.weight', 'blocks.0.0.norm1.weight')
        for norm in ('norm.weight', 'fc_norm.weight')
    ],
    absent=[
        'tokenizer_norm.weight',
        'embed_norm.weight',
        'token_emb.',
        'start_token',
        'query_token',
    ],
    tables={'backbone': timm_names},
    holds='backbone',
)

_BLOCK = {
    'ln1': 'norm1',
    'ln2': 'norm2',
    'ffn.layers.0.0': 'mlp.fc1',
    'ffn.layers.1': 'mlp.fc2',
    'attn.qkv': 'attn.qkv',
    'attn.proj': 'attn.proj',
}

MMPRETRAIN = Source(
    'mmpretrain',
    marks=[{'backbone.layers.0.ln1.weight'}],
    tables={
        'backbone': [
            refuse('backbone.pre_norm.{rest}', 'a norm before the first block'),
            keep('backbone.layers.{i}.attn.gamma1.weight', 'blocks.{i}.ls1.gamma', SCALE),
            keep('backbone.layers.{i}.ffn.gamma2.weight', 'blocks.{i}.ls2.gamma', SCALE),
            keep('backbone.cls_token', 'cls_token'),
            keep('backbone.pos_embed', 'pos_embed'),
            keep('backbone.patch_embed.projection.{rest}', 'patch_embed.proj.{rest}'),
            *(
                keep(f'backbone.layers.{{i}}.{theirs}.{{rest}}', f'blocks.{{i}}.{ours}.{{rest}}')
                for theirs, ours in _BLOCK.items()
            ),
            keep('backbone.ln1.{rest}', 'norm.{rest}', 'final norm'),
            drop('backbone.ln2.{rest}', 'pooled norm', POOLED),
            drop('neck.{rest}', 'decoder', DECODER),
            drop('head.{rest}', 'head', OTHER_HEAD),
            drop('data_preprocessor.{rest}', 'data preprocessor', 'the config normalizes'),
        ]
    },
)

# Where a model of transformers has its encoder: alone, or in a model with a head.
TRANSFORMERS_PREFIXES = ('', 'vit.', 'dinov2.', 'dinov2_with_registers.', 'deit.')
PATCHES = 'embeddings.patch_embeddings.projection.'
QUERY = 'attention.attention.query.weight'
# ViT's and ViTMAE's names, then DINOv2's where they differ.
TRANSFORMERS_BLOCK = {
    'layernorm_before': 'norm1',
    'attention.output.dense': 'attn.proj',
    'layernorm_after': 'norm2',
    'intermediate.dense': 'mlp.fc1',
    'output.dense': 'mlp.fc2',
    'norm1': 'norm1',
    'norm2': 'norm2',
    'mlp.fc1': 'mlp.fc1',
    'mlp.fc2': 'mlp.fc2',
}


def transformers_names(tensors: Tensors) -> list[Rule]:
    """transformers' ViT, ViTMAE, DeiT and DINOv2: queries, keys and values stacked."""
    prefix = next(p for p in TRANSFORMERS_PREFIXES if f'{p}{PATCHES}weight' in tensors)
    outer, block = f'{prefix}embeddings.', f'{prefix}encoder.layer.{{i}}.'
    attention = f'{block}attention.attention.'
    return [
        refuse(f'{outer}distillation_token', 'a distillation token'),
        refuse(f'{block}mlp.weights_in.{{rest}}', 'SwiGLU'),
        refuse(f'{block}mlp.weights_out.{{rest}}', 'SwiGLU'),
        drop(f'{outer}mask_token', 'decoder', MASKS),
        drop(f'{prefix}pooler.{{rest}}', 'pooling', POOLED),
        drop('decoder.{rest}', 'decoder', DECODER),
        *(
            drop(f'{name}.{{rest}}', 'head', OTHER_HEAD)
            for name in ('classifier', 'cls_classifier', 'distillation_classifier')
        ),
        keep(f'{outer}cls_token', 'cls_token'),
        keep(f'{outer}position_embeddings', 'pos_embed'),
        keep(f'{outer}register_tokens', 'reg_token', 'registers'),
        keep(f'{prefix}{PATCHES}{{rest}}', 'patch_embed.proj.{rest}'),
        *(
            # Three matrices (C, C) become one (3 C, C).
            keep(f'{attention}{name}.{{rest}}', 'blocks.{i}.attn.qkv.{rest}', piece=n)
            for n, name in enumerate(('query', 'key', 'value'))
        ),
        *(
            keep(f'{block}{theirs}.{{rest}}', f'blocks.{{i}}.{ours}.{{rest}}')
            for theirs, ours in TRANSFORMERS_BLOCK.items()
        ),
        *(
            keep(f'{block}layer_scale{n}.lambda1', f'blocks.{{i}}.ls{n}.gamma', SCALE)
            for n in (1, 2)
        ),
        keep(f'{prefix}layernorm.{{rest}}', 'norm.{rest}', 'final norm'),
    ]


TRANSFORMERS = Source(
    'transformers',
    marks=[{f'{p}{PATCHES}weight', f'{p}encoder.layer.0.{QUERY}'} for p in TRANSFORMERS_PREFIXES],
    tables={'backbone': transformers_names},
    holds='backbone',
)
