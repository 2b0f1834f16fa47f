"""The four parts of a pre-training, tensor by tensor: our name, the authors' name, the shape.

From one list a part is read in the authors' names, read in our own, and written back. Symbols: C
channels of the encoder, M inside its MLPs; D and Q those of ADDP's decoder; S and N those of the
token predictor's encoder, T and R of its decoder; G side of the grid, P side of a patch, K codes
of E channels. The vocabulary is K codes, 1000 classes and the mask.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from timm.layers import build_sincos2d_pos_embed
from torch import Tensor

from ..rules import Added, Rule, drop, keep
from .vit import BLOCK
from .vqgan import layout

WORDS = 'K+1001'
POSITIONS = 'G^2+1'
SECOND_COPY = 'a second copy of the tokenizer'
FLATTENED = 'flattened'


@dataclass(frozen=True)
class Names:
    """A tensor under both names.

    Args:
        ours: Its name in our module.
        authors: Its name in the authors' files.
        shape: Its sizes in our module.
        flattened: The authors' has two more axes of size 1 in front.
    """

    ours: str
    authors: str
    shape: str
    flattened: bool = False


@dataclass(frozen=True)
class Unused:
    """A tensor that stands in the authors' files and that no computation needs.

    Args:
        name: Its name in the authors' files.
        shape: Its sizes.
        why: What it is.
        what: What fills it when a file is written in the authors' layout.
    """

    name: str
    shape: str
    why: str
    what: str = 'zeros'


def same(shapes: dict[str, str], prefix: str = '') -> list[Names]:
    """Tensors that keep their names."""
    return [Names(prefix + name, prefix + name, shape) for name, shape in shapes.items()]


def stack(ours: str, authors: str, symbols: dict[str, str]) -> list[Names]:
    """Transformer blocks; ``symbols`` renames the C and M of a block's shapes."""
    renamed = str.maketrans(symbols)
    return [
        Names(f'{ours}.{name}', f'{authors}.{name}', shape.translate(renamed))
        for name, shape in BLOCK.items()
    ]


def layer(ours: str, authors: str, width: str, inputs: str = '') -> list[Names]:
    """A linear layer, or without ``inputs`` a norm."""
    weight = f'{width} {inputs}'.strip()
    return [
        Names(f'{ours}.weight', f'{authors}.weight', weight),
        Names(f'{ours}.bias', f'{authors}.bias', width),
    ]


def head(width: str, inputs: str) -> list[Names]:
    """The scores of the vocabulary."""
    return [
        *layer('head.fc', 'mlm_layer.fc', width, inputs),
        *layer('head.norm', 'mlm_layer.ln', width),
        Names('head.bias', 'mlm_layer.bias', WORDS, flattened=True),
    ]


PATCHES = {'patch_embed.proj.weight': 'C 3 P P', 'patch_embed.proj.bias': 'C'}
ENCODER = [
    *same({'cls_token': '1 1 C', 'pos_embed': f'1 {POSITIONS} C', **PATCHES}),
    *layer('embed_norm', 'tokenizer_norm', 'C'),
    *stack('blocks.{i}', 'blocks.{i}', {}),
    *layer('norm', 'norm', 'C'),
]
DECODER = [
    Names('mask_embed', 'mask_token', '1 1 D'),
    Names('token_embed.weight', 'token_emb.weight', f'{WORDS} D'),
    *layer('embed', 'decoder_embed', 'D', 'C'),
    Names('pixel_pos_embed', 'decoder_pos_embed_learned', f'1 {POSITIONS} D'),
    Names('mask_pos_embed', 'decoder_pos_mask_embed', f'1 {POSITIONS} D'),
    Names('token_pos_embed', 'decoder_pos_token_embed', f'1 {POSITIONS} D'),
    *stack('blocks.{j}', 'decoder_blocks.{j}', {'C': 'D', 'M': 'Q'}),
    *layer('norm', 'decoder_norm', 'D'),
    *head('D', 'D'),
]
PREDICTOR = [
    Names('token_embed.word.weight', 'token_emb.word_embeddings.weight', f'{WORDS} S'),
    Names('token_embed.position.weight', 'token_emb.position_embeddings.weight', f'{POSITIONS} S'),
    *layer('token_embed.norm', 'token_emb.LayerNorm', 'S'),
    *stack('blocks.{k}', 'blocks.{k}', {'C': 'S', 'M': 'N'}),
    *layer('norm', 'norm', 'S'),
    *layer('decoder_embed', 'decoder_embed', 'T', 'S'),
    Names('decoder_pos_embed', 'decoder_pos_embed_learned', f'1 {POSITIONS} T'),
    *stack('decoder_blocks.{l}', 'decoder_blocks.{l}', {'C': 'T', 'M': 'R'}),
    *layer('decoder_norm', 'decoder_norm', 'T'),
    *head('S', 'T'),
]
TOKENIZER = same(dict(layout()))

SINE, PIXELS = "MAE's fixed sine table", "MAE's pixel head"
DECODER_UNUSED = [
    Unused('decoder_pos_embed', f'1 {POSITIONS} D', SINE, 'sines'),
    Unused('decoder_pred.weight', '3P^2 D', PIXELS),
    Unused('decoder_pred.bias', '3P^2', PIXELS),
    Unused('pos_mask_embed', f'1 {POSITIONS} C', 'positions of masks in the encoder'),
]
# Only a network that feeds tokens to its encoder too has a use for it (table 5's first row).
TOKEN_POSITIONS = Names('encoder_token_pos_embed', 'pos_token_embed', f'1 {POSITIONS} C')
TOKEN_POSITIONS_UNUSED = Unused(
    TOKEN_POSITIONS.authors, TOKEN_POSITIONS.shape, "only token_input='encoder+decoder' has it"
)
PREDICTOR_UNUSED = [
    Unused('cls_token', '1 1 S', 'MAE embeds pixels, MAGE tokens'),
    Unused('pos_embed', f'1 {POSITIONS} S', SINE, 'sines'),
    Unused('patch_embed.proj.weight', 'S 3 P P', 'MAE embeds pixels, MAGE tokens'),
    Unused('patch_embed.proj.bias', 'S', 'MAE embeds pixels, MAGE tokens'),
    Unused('mask_token', '1 1 T', 'masked places take the class position'),
    Unused('decoder_pos_embed', f'1 {POSITIONS} T', SINE, 'sines'),
    Unused('decoder_pred.weight', '3P^2 T', PIXELS),
    Unused('decoder_pred.bias', '3P^2', PIXELS),
    Unused('token_emb.position_ids', f'1 {POSITIONS}', '0, 1, 2, ...', 'numbers'),
]


def published(names: Sequence[Names], source: str, target: str, part: str) -> list[Rule]:
    """From the authors' names behind one prefix to ours behind another."""
    return [
        keep(
            source + n.authors,
            target + n.ours,
            f'1 1 {n.shape}' if n.flattened else n.shape,
            part,
            why=FLATTENED if n.flattened else '',
            transform=Tensor.flatten if n.flattened else None,
        )
        for n in names
    ]


def own(names: Sequence[Names], source: str, target: str, part: str) -> list[Rule]:
    """Our names, from one prefix to another."""
    return [keep(source + n.ours, target + n.ours, n.shape, part) for n in names]


def official(names: Sequence[Names], source: str, targets: Sequence[str], part: str) -> list[Rule]:
    """From ours behind a prefix to the authors' behind another, or behind several, one each."""
    return [
        Rule(
            source + n.ours,
            tuple(target + n.authors for target in targets),
            n.shape,
            part,
            transform=unflattened if n.flattened else None,
        )
        for n in names
    ]


def dropped(unused: Sequence[Unused], source: str, part: str) -> list[Rule]:
    """What the authors' files have and no computation needs."""
    return [drop(source + u.name, part, f'not used: {u.why}', u.shape) for u in unused]


def added(unused: Sequence[Unused], target: str, part: str) -> list[Added]:
    """The same, made anew for the authors' layout."""
    return [Added(target + u.name, u.shape, part, u.what, MAKERS[u.what]) for u in unused]


def part_of(rules: Sequence[Rule], name: str) -> list[Rule]:
    """One part of what the rules give, under its bare names; the others are dropped."""
    prefix, result = f'{name}.', []
    for rule in rules:
        inside = [target[len(prefix) :] for target in rule.targets if target.startswith(prefix)]
        why = rule.why if inside or not rule.targets else f'not part of the {name}'
        transform = rule.transform if inside else None
        result.append(replace(rule, targets=tuple(inside), why=why, transform=transform))
    return result


def tokenizer(keys: Collection[str], target: str) -> list[Rule]:
    """The tokenizer of the authors' files: the copy that the token predictor works with."""
    copies = [
        copy
        for copy in ('token_predictor.vqgan.', 'vqgan.')
        if any(key.startswith(copy) for key in keys)
    ]
    rules = published(TOKENIZER, copies[0] if copies else 'vqgan.', target, 'tokenizer')
    return [*rules, *(drop(f'{copy}{{rest}}', 'tokenizer', SECOND_COPY) for copy in copies[1:])]


def unflattened(tensor: Tensor) -> Tensor:
    """(V,) -> (1, 1, V)."""
    return tensor[None, None]


def sines(sizes: Sequence[int]) -> Tensor:
    """MAE's positions (1, 1 + N, C): zeros for the class, then columns before rows."""
    _, positions, channels = sizes
    side = round((positions - 1) ** 0.5)
    table = build_sincos2d_pos_embed([side, side], channels, interleave_sin_cos=True)
    table = table.unflatten(0, (side, side)).transpose(0, 1).flatten(0, 1)
    return torch.cat([torch.zeros(1, channels), table])[None]


def numbers(sizes: Sequence[int]) -> Tensor:
    """0, 1, 2, ... (1, N)."""
    return torch.arange(sizes[1])[None]


MAKERS = {'zeros': torch.zeros, 'sines': sines, 'numbers': numbers}
