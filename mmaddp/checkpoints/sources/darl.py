"""The encoder that DARL pre-trains, in this package's names; no file of its authors is released."""

from __future__ import annotations

from collections.abc import Collection

from ..rules import Rule, drop, keep
from .vit import CLASS_AND_GRID, blocks

QUERY_STREAM = 'only pre-training with two streams asks it'


def is_darl(keys: Collection[str], prefix: str) -> bool:
    """Whether a prefix holds a DARLViT: a ViT with a start token, or without learned positions."""
    if f'{prefix}start_token' in keys:
        return True
    return f'{prefix}patch_embed.proj.weight' in keys and f'{prefix}pos_embed' not in keys


def encoder(source: str, target: str) -> list[Rule]:
    """The encoder between two prefixes.

    Its final norm belongs to it: the read-outs of section 4 come behind it. The query stream of
    appendix A.5 tells which patch to predict, which no other task wants.
    """
    part = 'encoder'
    return [
        keep(f'{source}start_token', f'{target}start_token', '1 1 C', part, optional=True),
        keep(
            f'{source}pos_embed', f'{target}pos_embed', f'1 {CLASS_AND_GRID} C', part, optional=True
        ),
        keep(
            f'{source}patch_embed.proj.weight', f'{target}patch_embed.proj.weight', 'C I P P', part
        ),
        keep(f'{source}patch_embed.proj.bias', f'{target}patch_embed.proj.bias', 'C', part),
        *blocks(f'{source}blocks.{{i}}', f'{target}blocks.{{i}}', part),
        *(
            keep(f'{source}norm.{name}', f'{target}norm.{name}', 'C', 'final norm', group='norm')
            for name in ('weight', 'bias')
        ),
        drop(f'{source}query_token', 'query stream', QUERY_STREAM, '1 1 C'),
        drop(f'{source}blocks.{{i}}.attn.query.weight', 'query stream', QUERY_STREAM, 'C C'),
        drop(f'{source}blocks.{{i}}.attn.query.bias', 'query stream', QUERY_STREAM, 'C'),
    ]
