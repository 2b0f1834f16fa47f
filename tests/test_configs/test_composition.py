"""How configs are composed: flat leaves of few files, which combine bases and no other leaf."""

import ast
from pathlib import Path

import pytest

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
COMPOSED = ('pretrain', 'cls', 'depth', 'det', 'seg')
LEAVES = [path for family in COMPOSED for path in sorted((CONFIGS / family).rglob('*.py'))]


def bases(path: Path) -> list[Path]:
    """The files that a config names in ``_base_``."""
    for statement in ast.parse(path.read_text()).body:
        if (
            isinstance(statement, ast.Assign)
            and getattr(statement.targets[0], 'id', '') == '_base_'
        ):
            named = ast.literal_eval(statement.value)
            named = [named] if isinstance(named, str) else named
            return [(path.parent / name).resolve() for name in named]
    return []


def chains(path: Path) -> list[list[Path]]:
    """Every way from a config to a file that has no base."""
    below = [[path, *chain] for base in bases(path) for chain in chains(base)]
    return below or [[path]]


def name_of(path: Path) -> str:
    return str(path.relative_to(CONFIGS).with_suffix(''))


@pytest.mark.parametrize('path', LEAVES, ids=name_of)
def test_a_leaf_combines_bases(path):
    named = bases(path)
    assert all(base.is_relative_to(CONFIGS / '_base_') for base in named)
    assert max(map(len, chains(path))) <= 3
    assert len({file for chain in chains(path) for file in chain}) <= 6


def test_every_base_is_used():
    used = {file for path in CONFIGS.rglob('*.py') for chain in chains(path) for file in chain[1:]}
    assert used >= set((CONFIGS / '_base_').rglob('*.py'))
