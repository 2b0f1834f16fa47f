"""ADDP's authors' files: encoder, decoder, tokenizer and token predictor in one.

Symbols beside the ViT's: D channels of the decoder, V words (codes, classes and the mask), K codes
of E channels; S, T and N stand for C, D and M in the token predictor.
"""

from __future__ import annotations

from collections.abc import Collection

from ..rules import Rule, Source, drop, keep
from .vit import CLASS_AND_GRID, blocks, embeddings, norm
from .vqgan import vqgan

PRETRAINING = 'only pre-training uses it'
PREDICTOR = {'C': 'S', 'D': 'T', 'M': 'N'}

# MAGE's decoder, which ADDP took over: `decoder_pos_embed` is the fixed sine table and
# `decoder_pred` the pixel head of MAE; neither has a use left, both stand in the files.
MAGE_DECODER = {
    'mask_token': '1 1 D',
    'decoder_pos_embed': f'1 {CLASS_AND_GRID} D',
    'decoder_pos_embed_learned': f'1 {CLASS_AND_GRID} D',
    'decoder_embed.weight': 'D C',
    'decoder_embed.bias': 'D',
    'decoder_norm.weight': 'D',
    'decoder_norm.bias': 'D',
    'decoder_pred.weight': '* D',
    'decoder_pred.bias': '*',
    'mlm_layer.bias': '1 1 V',
    'mlm_layer.fc.weight': 'C D',
    'mlm_layer.fc.bias': 'C',
    'mlm_layer.ln.weight': 'C',
    'mlm_layer.ln.bias': 'C',
}
# The embeddings of pixels, masks and tokens each have positions of their own.
ADDP_DECODER = {
    'pos_token_embed': f'1 {CLASS_AND_GRID} C',
    'pos_mask_embed': f'1 {CLASS_AND_GRID} C',
    'decoder_pos_token_embed': f'1 {CLASS_AND_GRID} D',
    'decoder_pos_mask_embed': f'1 {CLASS_AND_GRID} D',
    'token_emb.weight': 'V C',
}
MAGE_EMBEDDING = {
    'token_emb.position_ids': f'1 {CLASS_AND_GRID}',
    'token_emb.word_embeddings.weight': 'V C',
    'token_emb.position_embeddings.weight': f'{CLASS_AND_GRID} C',
    'token_emb.LayerNorm.weight': 'C',
    'token_emb.LayerNorm.bias': 'C',
    'norm.weight': 'C',
    'norm.bias': 'C',
}


def backbone(keys: Collection[str]) -> list[Rule]:
    """The encoder as fine-tuning uses it."""
    return [
        *embeddings('', '', 'encoder'),
        *blocks('blocks.{i}', 'blocks.{i}', 'encoder'),
        *norm('norm', 'norm', 'final norm'),
        *norm(
            'tokenizer_norm', 'embed_norm', 'embedding norm', "the authors' fine-tuning has none"
        ),
        *(
            drop(name, 'decoder', PRETRAINING)
            for name in ('mask_token', *ADDP_DECODER)
            if not name.startswith('decoder_')
        ),
        drop('decoder_{rest}', 'decoder', PRETRAINING),
        drop('mlm_layer.{rest}', 'decoder', PRETRAINING),
        drop('vqgan.{rest}', 'tokenizer', PRETRAINING),
        drop('token_predictor.{rest}', 'token predictor', PRETRAINING),
    ]


def pretrain(keys: Collection[str]) -> list[Rule]:
    """Everything that pre-training and generation use, under `encoder.`, `decoder.` and so on."""
    return [
        *embeddings('', 'encoder.', 'encoder'),
        *blocks('blocks.{i}', 'encoder.blocks.{i}', 'encoder'),
        *as_is({'norm.weight': 'C', 'norm.bias': 'C'}, '', 'encoder.', 'encoder'),
        keep('tokenizer_norm.weight', 'encoder.embed_norm.weight', 'C', 'encoder'),
        keep('tokenizer_norm.bias', 'encoder.embed_norm.bias', 'C', 'encoder'),
        *as_is(MAGE_DECODER, '', 'decoder.', 'decoder'),
        *as_is(ADDP_DECODER, '', 'decoder.', 'decoder'),
        *blocks(
            'decoder_blocks.{j}', 'decoder.decoder_blocks.{j}', 'decoder', {'C': 'D', 'M': 'Q'}
        ),
        *vqgan('vqgan.', 'tokenizer.', 'tokenizer'),
        *token_predictor(),
    ]


def token_predictor() -> list[Rule]:
    """MAGE, with encoder and decoder of its own."""
    name = part = 'token_predictor'
    symbols = str.maketrans(PREDICTOR)
    tables = {**MAGE_DECODER, **MAGE_EMBEDDING}
    tables = {key: shape.translate(symbols) for key, shape in tables.items()}
    return [
        *embeddings(f'{name}.', f'{name}.', part, symbols=PREDICTOR),
        *blocks(f'{name}.blocks.{{k}}', f'{name}.blocks.{{k}}', part, PREDICTOR),
        *blocks(
            f'{name}.decoder_blocks.{{l}}',
            f'{name}.decoder_blocks.{{l}}',
            part,
            {'C': 'T', 'M': 'R'},
        ),
        *as_is(tables, f'{name}.', f'{name}.', part),
        drop(f'{name}.vqgan.{{rest}}', 'tokenizer', 'a second copy of the tokenizer'),
    ]


def as_is(table: dict[str, str], source: str, target: str, part: str) -> list[Rule]:
    """Rules that only put another prefix in front of the names."""
    return [keep(source + name, target + name, shape, part) for name, shape in table.items()]


ADDP = Source(
    'addp',
    'blocks.0.* and tokenizer_norm.*',
    lambda keys: {'tokenizer_norm.weight', 'blocks.0.norm1.weight'} <= set(keys),
    {'backbone': backbone, 'pretrain': pretrain},
)
