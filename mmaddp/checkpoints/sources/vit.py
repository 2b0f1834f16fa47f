"""The plain ViT's rules, which the tables of all sources share.

Symbols: C channels, M channels inside an MLP, P side of a patch, G side of the pre-training grid,
H channels of an attention head.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..rules import Rule, keep

BLOCK = {
    'norm1.weight': 'C',
    'norm1.bias': 'C',
    'attn.qkv.weight': '3C C',
    'attn.qkv.bias': '3C',
    'attn.proj.weight': 'C C',
    'attn.proj.bias': 'C',
    'norm2.weight': 'C',
    'norm2.bias': 'C',
    'mlp.fc1.weight': 'M C',
    'mlp.fc1.bias': 'M',
    'mlp.fc2.weight': 'C M',
    'mlp.fc2.bias': 'C',
}
NORMS_UNUSED = 'fine-tuning puts a fresh norm behind average pooling'
CLASS_AND_GRID = 'G^2+1'


def blocks(
    source: str, target: str, part: str, symbols: Mapping[str, str] | None = None
) -> list[Rule]:
    """A stack of transformer blocks in timm's names.

    Args:
        source: Name of a block, with its index as placeholder: ``blocks.{i}``.
        target: Name of the block here.
        part: The part of the network, for the summary.
        symbols: Names for the symbols C and M, where the file holds another network too.
    """
    renamed = str.maketrans(dict(symbols or {}))
    return [
        keep(f'{source}.{name}', f'{target}.{name}', shape.translate(renamed), part)
        for name, shape in BLOCK.items()
    ]


def embeddings(
    source: str,
    target: str,
    part: str,
    with_cls_token: bool = True,
    symbols: Mapping[str, str] | None = None,
) -> list[Rule]:
    """Class token, positions and patch embedding in timm's names."""
    shapes = {
        'pos_embed': f'1 {CLASS_AND_GRID if with_cls_token else "G^2"} C',
        'patch_embed.proj.weight': 'C I P P',
        'patch_embed.proj.bias': 'C',
    }
    if with_cls_token:
        shapes['cls_token'] = '1 1 C'
    renamed = str.maketrans(dict(symbols or {}))
    return [
        keep(source + name, target + name, shape.translate(renamed), part)
        for name, shape in shapes.items()
    ]


def relative_positions(source: str, target: str, part: str) -> list[Rule]:
    """Decomposed relative positions: two tables in every block, or none at all."""
    return [
        keep(f'{source}.attn.{name}', f'{target}.attn.{name}', '* H', part, group='rel_pos')
        for name in ('rel_pos_h', 'rel_pos_w')
    ]


def norm(
    source: str, target: str, part: str, why: str = NORMS_UNUSED, symbol: str = 'C'
) -> list[Rule]:
    """A norm that only a module with a place for it takes."""
    return [
        keep(f'{source}.{name}', f'{target}.{name}', symbol, part, why=why, on_request=True)
        for name in ('weight', 'bias')
    ]
