"""MAGE's released files: a token predictor, with its tokenizer or without."""

from __future__ import annotations

from collections.abc import Collection

from ..rules import Rule, Source
from .parts import PREDICTOR, PREDICTOR_UNUSED, dropped, part_of, published, tokenizer

PART = 'token_predictor'


def token_predictor(source: str) -> list[Rule]:
    """MAGE behind a prefix, to `token_predictor.`."""
    return [
        *published(PREDICTOR, source, f'{PART}.', PART),
        *dropped(PREDICTOR_UNUSED, source, PART),
    ]


def pretrain(keys: Collection[str]) -> list[Rule]:
    """The token predictor and, where the file has it, the tokenizer."""
    has_tokenizer = any(key.startswith('vqgan.') for key in keys)
    return [*token_predictor(''), *(tokenizer(keys, 'tokenizer.') if has_tokenizer else [])]


def tokenizer_alone(keys: Collection[str]) -> list[Rule]:
    """The tokenizer, which must be there."""
    return part_of([*token_predictor(''), *tokenizer(keys, 'tokenizer.')], 'tokenizer')


MAGE = Source(
    'mage',
    'blocks.0.* and token_emb.word_embeddings.*',
    lambda keys: {'token_emb.word_embeddings.weight', 'blocks.0.norm1.weight'} <= set(keys),
    {
        'pretrain': pretrain,
        'token_predictor': lambda keys: part_of(pretrain(keys), PART),
        'tokenizer': tokenizer_alone,
    },
)
