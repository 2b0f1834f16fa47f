"""ADDP's authors' files: encoder, decoder, tokenizer and token predictor in one."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from ..rules import PARTS, Rule, Source, drop, keep
from .mage import token_predictor
from .parts import (
    DECODER,
    DECODER_UNUSED,
    ENCODER,
    TOKEN_POSITIONS,
    TOKEN_POSITIONS_UNUSED,
    dropped,
    part_of,
    published,
    tokenizer,
)
from .vit import blocks, embeddings, norm

PRETRAINING = 'only pre-training uses it'
DECODER_NAMES = ('mask_token', 'pos_token_embed', 'pos_mask_embed', 'token_emb.weight')


def backbone(keys: Collection[str]) -> list[Rule]:
    """The encoder as fine-tuning uses it."""
    return [
        *embeddings('', '', 'encoder'),
        *blocks('blocks.{i}', 'blocks.{i}', 'encoder'),
        *norm('norm', 'norm', 'final norm'),
        *norm(
            'tokenizer_norm', 'embed_norm', 'embedding norm', "the authors' fine-tuning has none"
        ),
        *(drop(name, 'decoder', PRETRAINING) for name in DECODER_NAMES),
        drop('decoder_{rest}', 'decoder', PRETRAINING),
        drop('mlm_layer.{rest}', 'decoder', PRETRAINING),
        drop('vqgan.{rest}', 'tokenizer', PRETRAINING),
        drop('token_predictor.{rest}', 'token predictor', PRETRAINING),
    ]


def pretrain(keys: Collection[str]) -> list[Rule]:
    """Everything that pre-training and generation use, under `encoder.`, `decoder.` and so on."""
    return [
        *published(ENCODER, '', 'encoder.', 'encoder'),
        *published(DECODER, '', 'decoder.', 'decoder'),
        *dropped(DECODER_UNUSED, '', 'decoder'),
        keep(
            TOKEN_POSITIONS.authors,
            TOKEN_POSITIONS.ours,
            TOKEN_POSITIONS.shape,
            'decoder',
            why=TOKEN_POSITIONS_UNUSED.why,
            on_request=True,
        ),
        *tokenizer(keys, 'tokenizer.'),
        *token_predictor('token_predictor.'),
    ]


def part(keys: Collection[str], name: str) -> list[Rule]:
    """One part alone, under the names of its module."""
    return part_of(pretrain(keys), name)


ADDP = Source(
    'addp',
    'blocks.0.* and tokenizer_norm.*',
    lambda keys: {'tokenizer_norm.weight', 'blocks.0.norm1.weight'} <= set(keys),
    {
        'backbone': backbone,
        'pretrain': pretrain,
        **{name: partial(part, name=name) for name in PARTS},
    },
)
