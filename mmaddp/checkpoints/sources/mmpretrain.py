"""MMPretrain's files: MAE pre-training and VisionTransformer classifiers."""

from __future__ import annotations

from collections.abc import Collection

from ..rules import Rule, Source, drop, keep, refuse
from .vit import BLOCK, CLASS_AND_GRID, norm

RENAMED = {'norm1': 'ln1', 'norm2': 'ln2', 'mlp.fc1': 'ffn.layers.0.0', 'mlp.fc2': 'ffn.layers.1'}


def mmpretrain_name(name: str) -> str:
    """MMPretrain's name for a block's parameter."""
    module, kind = name.rsplit('.', 1)
    return f'{RENAMED.get(module, module)}.{kind}'


def backbone(keys: Collection[str]) -> list[Rule]:
    """The encoder, class token included."""
    part = 'encoder'
    return [
        keep('backbone.cls_token', 'cls_token', '1 1 C', part),
        keep('backbone.pos_embed', 'pos_embed', f'1 {CLASS_AND_GRID} C', part),
        keep('backbone.patch_embed.projection.weight', 'patch_embed.proj.weight', 'C I P P', part),
        keep('backbone.patch_embed.projection.bias', 'patch_embed.proj.bias', 'C', part),
        *(
            keep(
                f'backbone.layers.{{i}}.{mmpretrain_name(name)}',
                f'blocks.{{i}}.{name}',
                shape,
                part,
            )
            for name, shape in BLOCK.items()
        ),
        *norm('backbone.ln1', 'norm', 'final norm'),
        drop('backbone.ln2.{rest}', 'pooled norm', 'it belongs to the classification head'),
        drop('neck.{rest}', 'decoder', 'only pre-training decodes'),
        drop('head.{rest}', 'head', 'another task has another head'),
        drop('data_preprocessor.{rest}', 'data preprocessor', 'the config normalizes'),
        refuse('backbone.pre_norm.{rest}', 'a norm before the first block'),
        refuse('backbone.layers.{i}.attn.gamma1.{rest}', 'layer scale'),
        refuse('backbone.layers.{i}.ffn.gamma2.{rest}', 'layer scale'),
    ]


MMPRETRAIN = Source(
    'mmpretrain',
    'backbone.layers.0.ln1.* (a VisionTransformer or MAE of MMPretrain)',
    lambda keys: 'backbone.layers.0.ln1.weight' in keys,
    {'backbone': backbone},
)
