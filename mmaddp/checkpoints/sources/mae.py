"""MAE's released files and timm's plain vision transformers, which share their names."""

from __future__ import annotations

from collections.abc import Collection

from ..rules import Rule, Source, drop, refuse
from .vit import blocks, embeddings, norm

HEAD = 'another task has another head'
DROPPED = [
    drop('fc_norm.{rest}', 'pooled norm', 'it belongs to the classification head'),
    drop('head.{rest}', 'head', HEAD),
    drop('head_drop.{rest}', 'head', HEAD),
    drop('pre_logits.{rest}', 'head', HEAD),
    drop('mask_token', 'decoder', 'only pre-training decodes'),
    drop('decoder_{rest}', 'decoder', 'only pre-training decodes'),
]
REFUSED = [
    refuse('norm_pre.{rest}', 'a norm before the first block'),
    refuse('reg_token', 'register tokens'),
    refuse('dist_token', 'a distillation token'),
    refuse('blocks.{i}.ls1.gamma', 'layer scale'),
    refuse('blocks.{i}.ls2.gamma', 'layer scale'),
    refuse('blocks.{i}.attn.q_norm.{rest}', 'a norm on the queries'),
    refuse('blocks.{i}.attn.k_norm.{rest}', 'a norm on the keys'),
]


def is_mae(keys: Collection[str]) -> bool:
    """Plain timm names with a norm of its own, and nothing that tells of ADDP or MAGE."""
    return (
        {'cls_token', 'blocks.0.norm1.weight'} <= set(keys)
        and bool({'norm.weight', 'fc_norm.weight'} & set(keys))
        and not {'tokenizer_norm.weight', 'embed_norm.weight'} & set(keys)
        and not any(key.startswith('token_emb.') for key in keys)
    )


def backbone(keys: Collection[str]) -> list[Rule]:
    """The encoder, class token included."""
    return [
        *embeddings('', '', 'encoder'),
        *blocks('blocks.{i}', 'blocks.{i}', 'encoder'),
        *norm('norm', 'norm', 'final norm'),
        *DROPPED,
        *REFUSED,
    ]


MAE = Source('mae', 'cls_token, blocks.0.* and norm.* or fc_norm.*', is_mae, {'backbone': backbone})
