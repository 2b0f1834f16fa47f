"""DiT's released files, and the network in this package's names."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..rules import Rule, Source, keep
from .vit import BLOCK

# Norms have no parameters of their own here. F: sines and cosines of a timestep; O: values of a
# patch that come out; other symbols are those of the plain ViT.
BLOCKS = {
    **{name: shape for name, shape in BLOCK.items() if not name.startswith('norm')},
    'modulation.weight': '6C C',
    'modulation.bias': '6C',
}
EMBEDDINGS = {
    'pos_embed': '1 G^2 C',
    'patch_embed.proj.weight': 'C I P P',
    'patch_embed.proj.bias': 'C',
    'condition.time.fc1.weight': 'C F',
    'condition.time.fc1.bias': 'C',
    'condition.time.fc2.weight': 'C C',
    'condition.time.fc2.bias': 'C',
    'condition.label.weight': '* C',
}
HEAD = {
    'head.modulation.weight': '2C C',
    'head.modulation.bias': '2C',
    'head.proj.weight': 'O C',
    'head.proj.bias': 'O',
}
AUTHORS = {
    'patch_embed.': 'x_embedder.',
    'condition.time.fc1.': 't_embedder.mlp.0.',
    'condition.time.fc2.': 't_embedder.mlp.2.',
    'condition.label.': 'y_embedder.embedding_table.',
    'head.proj.': 'final_layer.linear.',
    'head.': 'final_layer.',
    'modulation.': 'adaLN_modulation.1.',
}


def parts() -> Iterator[tuple[str, str, str]]:
    """Name here, shape and part of every tensor."""
    for part, shapes in (('embeddings', EMBEDDINGS), ('output layer', HEAD)):
        yield from ((name, shape, part) for name, shape in shapes.items())
    yield from ((f'blocks.{{i}}.{name}', shape, 'blocks') for name, shape in BLOCKS.items())


def authors_name(ours: str) -> str:
    """The name that a tensor has in the released files."""
    for mine, theirs in AUTHORS.items():
        ours = ours.replace(mine, theirs)
    return ours


def is_dit(keys: Collection[str], prefix: str) -> bool:
    """Whether a prefix holds a network in this package's names."""
    return {f'{prefix}condition.label.weight', f'{prefix}blocks.0.modulation.weight'} <= set(keys)


def encoder(source: str, target: str) -> list[Rule]:
    """The network between two prefixes; a truncated one has no output layer."""
    return [
        keep(source + name, target + name, shape, part, group='head' if name in HEAD else '')
        for name, shape, part in parts()
    ]


def backbone(keys: Collection[str]) -> list[Rule]:
    """The whole network of a released file."""
    return [keep(authors_name(name), name, shape, part) for name, shape, part in parts()]


DIT = Source(
    'dit',
    'x_embedder.* and blocks.0.adaLN_modulation.*',
    lambda keys: {'x_embedder.proj.weight', 'blocks.0.adaLN_modulation.1.weight'} <= set(keys),
    {'backbone': backbone},
)
