"""This package's own files: converted backbones, and checkpoints of its training runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..rules import Rule, Source, drop, keep
from .vit import blocks, embeddings, norm, relative_positions


def encoder_prefix(keys: Collection[str]) -> str | None:
    """Where the encoder sits: '' in a backbone file; None when it is nowhere."""
    for prefix in ('backbone.', 'encoder.', ''):
        if f'{prefix}blocks.0.norm1.weight' in keys:
            return prefix
    return None


def is_own(keys: Collection[str]) -> bool:
    """Our names; a bare backbone tells itself from MAE's by the norms that it has or lacks."""
    prefix = encoder_prefix(keys)
    if prefix == '':
        published = {'norm.weight', 'fc_norm.weight', 'tokenizer_norm.weight'} & set(keys)
        return 'embed_norm.weight' in keys or not published
    return prefix is not None


def encoder(keys: Collection[str], source: str, target: str) -> list[Rule]:
    """The encoder's rules between two prefixes."""
    part = 'encoder'
    return [
        *embeddings(source, target, part, with_cls_token=f'{source}cls_token' in keys),
        *blocks(f'{source}blocks.{{i}}', f'{target}blocks.{{i}}', part),
        *relative_positions(f'{source}blocks.{{i}}', f'{target}blocks.{{i}}', part),
        *norm(f'{source}embed_norm', f'{target}embed_norm', 'embedding norm'),
        *norm(f'{source}norm', f'{target}norm', 'final norm'),
    ]


def other_parts(keys: Collection[str], prefix: str) -> list[tuple[str, str]]:
    """Part and pattern of what stands outside the encoder."""
    firsts = {key.partition('.')[:2] for key in keys if not key.startswith(prefix)}
    return [(name, f'{name}.{{rest}}' if dot else name) for name, dot in sorted(firsts)]


def backbone(keys: Collection[str]) -> list[Rule]:
    """The encoder of a backbone file or of a whole model."""
    prefix = encoder_prefix(keys) or ''
    why = 'another network has its own'
    rest = [drop(pattern, part, why) for part, pattern in other_parts(keys, prefix)]
    return [*encoder(keys, prefix, ''), *rest]


def whole(keys: Collection[str], prefix: str) -> list[Rule]:
    """A whole model of ours: the encoder checked, the rest as it is."""
    rules = [
        replace(rule, on_request=False, optional=rule.on_request, why='')
        for rule in encoder(keys, prefix, prefix)
    ]
    rest = [keep(pattern, pattern, '', part) for part, pattern in other_parts(keys, prefix)]
    return [*rules, *rest]


MMADDP = Source(
    'mmaddp',
    'backbone.blocks.0.*, encoder.blocks.0.*, or blocks.0.* without norm.* (files of this package)',
    is_own,
    {
        'backbone': backbone,
        'detector': lambda keys: whole(keys, 'backbone.'),
        'pretrain': lambda keys: whole(keys, 'encoder.'),
    },
)
