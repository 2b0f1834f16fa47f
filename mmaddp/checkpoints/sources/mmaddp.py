"""This package's own files: converted ones, and checkpoints of its training runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from mmaddp.utils import UserError

from ..rules import PARTS, Rule, Source, drop, keep
from . import darl, ddae, dit
from .parts import (
    DECODER,
    DECODER_UNUSED,
    ENCODER,
    PREDICTOR,
    PREDICTOR_UNUSED,
    TOKEN_POSITIONS,
    TOKEN_POSITIONS_UNUSED,
    TOKENIZER,
    added,
    official,
    own,
)
from .vit import blocks, embeddings, norm, relative_positions

# A name that only the part has, for files of that part alone and for whole models.
MARKS = {
    'tokenizer': 'quantize.embedding.weight',
    'token_predictor': 'token_embed.word.weight',
    'decoder': 'pixel_pos_embed',
}
NAMES = {'tokenizer': TOKENIZER, 'token_predictor': PREDICTOR, 'decoder': DECODER}
OTHERS = 'another network has its own'


def encoder_prefix(keys: Collection[str]) -> str | None:
    """Where a ViT sits: '' in a backbone file; None when it is nowhere."""
    for prefix in ('backbone.', 'encoder.', 'network.', ''):
        if f'{prefix}blocks.0.norm1.weight' in keys or dit.is_dit(keys, prefix):
            return prefix
    return None


def part_prefix(keys: Collection[str], part: str) -> str | None:
    """Where a part of a pre-training sits: '' in a file of its own; None when it is nowhere."""
    for prefix in (f'{part}.', ''):
        if prefix + MARKS[part] in keys:
            return prefix
    return None


def is_own(keys: Collection[str]) -> bool:
    """Our names; a bare backbone tells itself from MAE's by the norms that it has or lacks."""
    if any(f'{part}.{mark}' in keys for part, mark in MARKS.items()):
        return True
    if MARKS['token_predictor'] in keys or MARKS['decoder'] in keys:
        return True
    if ddae.unet_prefix(keys) is not None:
        return True
    prefix = encoder_prefix(keys)
    if prefix == '':
        published = {'norm.weight', 'fc_norm.weight', 'tokenizer_norm.weight'} & set(keys)
        return 'embed_norm.weight' in keys or darl.is_darl(keys, '') or not published
    return prefix is not None


def encoder(keys: Collection[str], source: str, target: str) -> list[Rule]:
    """The encoder's rules between two prefixes."""
    if darl.is_darl(keys, source):
        return darl.encoder(source, target)
    if dit.is_dit(keys, source):
        return dit.encoder(source, target)
    part = 'encoder'
    return [
        *embeddings(source, target, part, with_cls_token=f'{source}cls_token' in keys),
        *blocks(f'{source}blocks.{{i}}', f'{target}blocks.{{i}}', part),
        *relative_positions(f'{source}blocks.{{i}}', f'{target}blocks.{{i}}', part),
        *norm(f'{source}embed_norm', f'{target}embed_norm', 'embedding norm'),
        *norm(f'{source}norm', f'{target}norm', 'final norm'),
    ]


def other_parts(keys: Collection[str], prefix: str | None) -> list[tuple[str, str]]:
    """Part and pattern of what stands outside a prefix; of everything when it is None."""
    others = [key for key in keys if prefix is None or not key.startswith(prefix)]
    firsts = {key.partition('.')[:2] for key in others}
    return [(name, f'{name}.{{rest}}' if dot else name) for name, dot in sorted(firsts)]


def drop_others(keys: Collection[str], prefix: str) -> list[Rule]:
    """Rules that drop what stands outside a prefix."""
    return [drop(pattern, part, OTHERS) for part, pattern in other_parts(keys, prefix)]


def backbone(keys: Collection[str]) -> list[Rule]:
    """The encoder of a backbone file or of a whole model; a ResNet's names are MMPretrain's."""
    prefix = ddae.unet_prefix(keys)
    if prefix is not None:
        return [*ddae.own(keys, prefix, ''), *drop_others(keys, prefix)]
    prefix = encoder_prefix(keys)
    if prefix is None and any(key.startswith('encoder.') for key in keys):
        return [keep('encoder.{rest}', '{rest}', '', 'encoder'), *drop_others(keys, 'encoder.')]
    return [*encoder(keys, prefix or '', ''), *drop_others(keys, prefix or '')]


def whole(keys: Collection[str], prefix: str) -> list[Rule]:
    """A whole model of ours: the encoder checked and kept as a whole, the rest as it is."""
    rules = [
        replace(
            rule,
            targets=rule.targets or (rule.source,),
            on_request=False,
            optional=not rule.required,
            why='',
        )
        for rule in encoder(keys, prefix, prefix)
    ]
    rest = [keep(pattern, pattern, '', part) for part, pattern in other_parts(keys, prefix)]
    return [*rules, *rest]


def pretrain(keys: Collection[str]) -> list[Rule]:
    """A pre-training, or parts of one: a plain ViT checked, the rest as it is."""
    prefix = encoder_prefix(keys)
    if prefix is not None:
        is_other = darl.is_darl(keys, prefix) or dit.is_dit(keys, prefix)
        return whole(keys, prefix if is_other else 'encoder.')
    return [keep(pattern, pattern, '', part) for part, pattern in other_parts(keys, None)]


def part_alone(keys: Collection[str], part: str) -> list[Rule]:
    """One part of a pre-training, under the names of its module.

    Raises:
        UserError: The file holds no such part.
    """
    prefix = part_prefix(keys, part)
    if prefix is None:
        raise UserError(f'it holds no {part}')
    names = NAMES[part]
    if part == 'decoder' and f'{prefix}token_pos_embed' not in keys:  # built without token input
        names = [name for name in names if name.ours != 'token_pos_embed']
    return [*own(names, prefix, '', part), *drop_others(keys, prefix)]


def authors(keys: Collection[str]) -> list[Rule]:
    """A whole pre-training under the authors' names.

    Raises:
        UserError: The file lacks a frozen part, as a training checkpoint does.
    """
    lacking = [part for part in PARTS if f'{part}.{MARKS[part]}' not in keys]
    if lacking:
        options = ' '.join(f'--{part.replace("_", "-")} FILE' for part in lacking)
        raise UserError(
            f'it lacks {" and ".join(lacking)}, and training checkpoints hold no frozen parts: '
            f'add them with {options}'
        )
    copies = ['token_predictor.vqgan.', 'vqgan.']
    rules = [
        *official(ENCODER, 'encoder.', [''], 'encoder'),
        *official(DECODER, 'decoder.', [''], 'decoder'),
        *official(PREDICTOR, 'token_predictor.', ['token_predictor.'], 'token_predictor'),
        *official(TOKENIZER, 'tokenizer.', copies, 'tokenizer'),
    ]
    (positions,) = official([TOKEN_POSITIONS], '', [''], 'decoder')
    return [*rules, replace(positions, optional=True)]


ADDED = [
    *added([*DECODER_UNUSED, TOKEN_POSITIONS_UNUSED], '', 'decoder'),
    *added(PREDICTOR_UNUSED, 'token_predictor.', 'token_predictor'),
]

MMADDP = Source(
    'mmaddp',
    'backbone.blocks.0.*, encoder.blocks.0.*, blocks.0.* without norm.* or with start_token, '
    'time_embed.fc1.*, or a part of a pre-training (files of this package)',
    is_own,
    {
        'backbone': backbone,
        'detector': lambda keys: whole(keys, 'backbone.'),
        'pretrain': pretrain,
        **{part: partial(part_alone, part=part) for part in PARTS},
        'official': authors,
    },
    {'official': ADDED},
)
