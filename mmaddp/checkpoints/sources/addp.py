"""Files of ADDP's and MAGE's authors: encoder, decoder, tokenizer and token predictor.

The tables are read in both directions: from the authors' names to ours, and back for the target
'official'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from timm.layers import build_sincos2d_pos_embed
from torch import Tensor

from mmaddp.utils import UserError

from ..rules import PARTS, Rule, Source, Tensors, drop, keep, part_of

PRETRAINING = 'only pre-training uses it'
SINE, PIXELS = "not used: MAE's fixed sine table", "not used: MAE's pixel head"
SECOND_COPY = 'a second copy of the tokenizer'
NO_PIXELS = 'not used: MAE embeds pixels, MAGE tokens'


def squeezed(scores: Tensor) -> Tensor:
    """(1, 1, V) -> (V,)."""
    return scores.squeeze(0).squeeze(0)


def head(source: str, target: str, part: str) -> list[Rule]:
    """The scores of the vocabulary."""
    return [
        keep(f'{source}fc.{{rest}}', f'{target}fc.{{rest}}', part),
        keep(f'{source}ln.{{rest}}', f'{target}norm.{{rest}}', part),
        # One bias for each entry.
        keep(f'{source}bias', f'{target}bias', part, note='flattened', transform=squeezed),
    ]


def predictor(source: str) -> list[Rule]:
    """MAGE behind a prefix of the authors' names."""
    ours, part = 'token_predictor.', 'token_predictor'
    names = {
        # MAGE took its embeddings, and their names, from BERT.
        'token_emb.word_embeddings.{rest}': 'token_embed.word.{rest}',
        'token_emb.position_embeddings.{rest}': 'token_embed.position.{rest}',
        'token_emb.LayerNorm.{rest}': 'token_embed.norm.{rest}',
        'decoder_pos_embed_learned': 'decoder_pos_embed',
        'decoder_embed.{rest}': 'decoder_embed.{rest}',
        'decoder_blocks.{rest}': 'decoder_blocks.{rest}',
        'decoder_norm.{rest}': 'decoder_norm.{rest}',
        'blocks.{rest}': 'blocks.{rest}',
        'norm.{rest}': 'norm.{rest}',
    }
    return [
        *(drop(source + name, part, why) for name, why in PREDICTOR_UNUSED.items()),
        *head(f'{source}mlm_layer.', f'{ours}head.', part),
        *(keep(source + theirs, ours + name, part) for theirs, name in names.items()),
    ]


# What stands in the authors' files though nothing is computed with it.
PREDICTOR_UNUSED = {
    'cls_token': NO_PIXELS,
    'pos_embed': SINE,
    'patch_embed.proj.{rest}': NO_PIXELS,
    'mask_token': 'not used: masked positions take the class position',
    'decoder_pos_embed': SINE,
    'decoder_pred.{rest}': PIXELS,
    'token_emb.position_ids': 'not used: 0, 1, 2, ...',
}
DECODER_NAMES = {
    'mask_token': 'mask_embed',
    'token_emb.weight': 'token_embed.weight',
    'decoder_embed.{rest}': 'embed.{rest}',
    # Each input of the decoder has positions of its own: pixels, masks and tokens.
    'decoder_pos_embed_learned': 'pixel_pos_embed',
    'decoder_pos_mask_embed': 'mask_pos_embed',
    'decoder_pos_token_embed': 'token_pos_embed',
    'decoder_blocks.{rest}': 'blocks.{rest}',
    'decoder_norm.{rest}': 'norm.{rest}',
}
DECODER = [
    drop('decoder_pos_embed', 'decoder', SINE),
    drop('decoder_pred.{rest}', 'decoder', PIXELS),
    drop('pos_mask_embed', 'decoder', 'not used: positions of masks in the encoder'),
    keep(
        'pos_token_embed',
        'encoder_token_pos_embed',
        'decoder',
        why="not used: only token_input='encoder+decoder' has it",
    ),
    *head('mlm_layer.', 'decoder.head.', 'decoder'),
    *(keep(a, f'decoder.{b}', 'decoder') for a, b in DECODER_NAMES.items()),
]
ENCODER_NAMES = {
    'tokenizer_norm.{rest}': 'embed_norm.{rest}',
    'cls_token': 'cls_token',
    'pos_embed': 'pos_embed',
    'patch_embed.{rest}': 'patch_embed.{rest}',
    'blocks.{rest}': 'blocks.{rest}',
    'norm.{rest}': 'norm.{rest}',
}
ENCODER = [keep(a, f'encoder.{b}') for a, b in ENCODER_NAMES.items()]
COPIES = ('token_predictor.vqgan.', 'vqgan.')


def tokenizer(copies: Sequence[str]) -> list[Rule]:
    """The tokenizer: the first copy, which the token predictor works with, if it is there."""
    return [
        keep(f'{copies[0]}{{rest}}', 'tokenizer.{rest}', 'tokenizer'),
        *(drop(f'{copy}{{rest}}', 'tokenizer', SECOND_COPY) for copy in copies[1:]),
    ]


def pretrain(tensors: Tensors) -> list[Rule]:
    """All that pre-training and generation use.

    Raises:
        UserError: A part is missing.
    """
    # Some files have the tokenizer once. The copy of the token predictor is the one that it reads.
    copies = [copy for copy in COPIES if any(key.startswith(copy) for key in tensors)]
    # A decoder without tokens is one of ours, not of a published file.
    needed = ['decoder_pos_token_embed', 'token_predictor.token_emb.word_embeddings.weight']
    needed.append(f'{(copies or COPIES)[0]}quantize.embedding.weight')
    lacking = [name for name in needed if name not in tensors]
    if lacking:
        raise UserError(f'missing: {", ".join(lacking)}')
    return [*tokenizer(copies), *predictor('token_predictor.'), *DECODER, *ENCODER]


def part(tensors: Tensors, name: str) -> list[Rule]:
    """One part alone, under the names of its module."""
    return part_of(pretrain(tensors), name)


ADDP = Source(
    'addp',
    license='CC BY-NC 4.0 (ADDP)',
    marks=[{'tokenizer_norm.weight', 'blocks.0.norm1.weight'}],
    tables={
        'backbone': [
            keep('norm.{rest}', part='final norm'),
            keep('tokenizer_norm.{rest}', 'embed_norm.{rest}', 'embedding norm'),
            *(
                keep(name)
                for name in ('cls_token', 'pos_embed', 'patch_embed.{rest}', 'blocks.{rest}')
            ),
            *(
                drop(name, 'decoder', PRETRAINING)
                for name in ('mask_token', 'pos_token_embed', 'pos_mask_embed', 'token_emb.weight')
            ),
            drop('decoder_{rest}', 'decoder', PRETRAINING),
            drop('mlm_layer.{rest}', 'decoder', PRETRAINING),
            drop('vqgan.{rest}', 'tokenizer', PRETRAINING),
            drop('token_predictor.{rest}', 'token predictor', PRETRAINING),
        ],
        'pretrain': pretrain,
        # One part is the table of the whole, reduced to that part.
        **{name: partial(part, name=name) for name in PARTS},
    },
    whole=('pretrain', 'decoder.pixel_pos_embed'),
    holds='backbone',
)


def mage(tensors: Tensors) -> list[Rule]:
    """The token predictor, and the tokenizer where the file has it."""
    return [keep('vqgan.{rest}', 'tokenizer.{rest}', 'tokenizer'), *predictor('')]


def token_encoder(word: str, position: str, norm: str, prefix: str = '') -> list[Rule]:
    """The encoder as a backbone on tokens, from the names of its three embeddings."""
    return [
        keep(f'{prefix}{word}.weight', 'patch_embed.word.weight'),
        keep(f'{prefix}{position}.weight', 'pos_embed', note='unsqueezed', transform=leading_axis),
        keep(f'{prefix}{norm}.{{rest}}', 'embed_norm.{rest}', 'embedding norm'),
        keep(f'{prefix}blocks.{{rest}}', 'blocks.{rest}'),
        keep(f'{prefix}norm.{{rest}}', 'norm.{rest}', 'final norm'),
    ]


def leading_axis(positions: Tensor) -> Tensor:
    """(1 + N, C) -> (1, 1 + N, C)."""
    return positions[None]


MAGE = Source(
    'mage',
    license='MIT (MAGE)',
    marks=[{'token_emb.word_embeddings.weight', 'blocks.0.norm1.weight'}],
    tables={
        'backbone': [
            *token_encoder(
                'token_emb.word_embeddings', 'token_emb.position_embeddings', 'token_emb.LayerNorm'
            ),
            *(
                drop(name, 'decoder', PREDICTOR_UNUSED.get(name, PRETRAINING))
                for name in (*PREDICTOR_UNUSED, 'decoder_{rest}', 'mlm_layer.{rest}')
            ),
            keep('vqgan.{rest}', 'patch_embed.tokenizer.{rest}', 'tokenizer'),
        ],
        'pretrain': mage,
        'token_predictor': lambda tensors: part_of(mage(tensors), 'token_predictor'),
        'tokenizer': lambda tensors: part_of(mage(tensors), 'tokenizer'),
    },
    holds='token_predictor',
)

# The VQGAN that MAGE and ADDP tokenize with; our module has the authors' names.
VQGAN = Source(
    'vqgan',
    marks=[{'quantize.embedding.weight', 'encoder.down.0.block.0.conv1.weight'}],
    tables={
        'pretrain': [keep('{rest}', 'tokenizer.{rest}', 'tokenizer')],
        'tokenizer': [keep('{rest}', part='tokenizer')],
    },
    holds='tokenizer',
)


def unsqueezed(scores: Tensor) -> Tensor:
    """(V,) -> (1, 1, V)."""
    return scores[None, None]


def official() -> list[Rule]:
    """From our names to the authors', with both copies of the tokenizer."""
    tables = [*predictor('token_predictor.'), *DECODER, *ENCODER]
    # Rules that drop tensors have no way back; see official_extras.
    back = [
        Rule(
            rule.targets[0],
            (rule.source,),
            rule.part,
            transform=unsqueezed if rule.transform else None,
        )
        for rule in tables
        if rule.targets
    ]
    # The authors' files have the tokenizer twice.
    copies = tuple(f'{copy}{{rest}}' for copy in COPIES)
    return [Rule('tokenizer.{rest}', copies, 'tokenizer'), *back]


def official_extras(ours: Tensors) -> Iterator[tuple[str, Tensor, str, str]]:
    """What the authors' files hold and nothing computes with: name, tensor, part and fate.

    Args:
        ours: A whole pre-training in our names.
    """
    patches = ours['encoder.patch_embed.proj.weight']
    decoder, predicted = 'decoder', 'token_predictor'
    like = {
        ('', decoder): ours['decoder.pixel_pos_embed'],
        ('token_predictor.', predicted): ours['token_predictor.decoder_pos_embed'],
    }
    for (prefix, part), positions in like.items():
        # MAE's pixel head: (p * p * 3, C).
        weight = positions.new_zeros(patches[0].numel(), positions.shape[2])
        yield f'{prefix}decoder_pos_embed', sines(positions), part, 'added: sines'
        yield f'{prefix}decoder_pred.weight', weight, part, 'added: zeros'
        yield f'{prefix}decoder_pred.bias', weight[:, 0].clone(), part, 'added: zeros'
    encoder_positions = torch.zeros_like(ours['encoder.pos_embed'])
    yield 'pos_mask_embed', encoder_positions, decoder, 'added: zeros'
    if 'encoder_token_pos_embed' not in ours:
        yield 'pos_token_embed', encoder_positions.clone(), decoder, 'added: zeros'
    positions = ours['token_predictor.token_embed.position.weight'][None]
    width = positions.shape[2]
    tokens = {
        'cls_token': positions.new_zeros(1, 1, width),
        'patch_embed.proj.weight': positions.new_zeros(width, *patches.shape[1:]),
        'patch_embed.proj.bias': positions.new_zeros(width),
        'mask_token': like['token_predictor.', predicted].new_zeros(
            1, 1, like['token_predictor.', predicted].shape[2]
        ),
    }
    for name, tensor in tokens.items():
        yield f'token_predictor.{name}', tensor, predicted, 'added: zeros'
    yield 'token_predictor.pos_embed', sines(positions), predicted, 'added: sines'
    # A buffer of transformers' embeddings: (1, 1 + N).
    ids = torch.arange(positions.shape[1], device=positions.device)[None]
    yield 'token_predictor.token_emb.position_ids', ids, predicted, 'added: numbers'


def sines(like: Tensor) -> Tensor:
    """MAE's positions, as large as ``like`` (1, 1 + N, C): zeros for the class, columns first."""
    _, positions, channels = like.shape
    return fixed_positions(round((positions - 1) ** 0.5), channels).to(like.device)


def fixed_positions(side: int, channels: int) -> Tensor:
    """MAE's sine table (1, 1 + side * side, channels), float32."""
    table = build_sincos2d_pos_embed([side, side], channels, interleave_sin_cos=True)
    # timm counts rows first, MAE columns.
    table = table.unflatten(0, (side, side)).transpose(0, 1).flatten(0, 1)
    return torch.cat([torch.zeros(1, channels), table])[None].float()
