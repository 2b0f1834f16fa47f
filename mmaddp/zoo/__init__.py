"""Small encoders that this package pre-trained, with their model cards.

Every function and option that takes a checkpoint takes ``zoo://NAME``. ``mmaddp zoo`` lists the
names, ``mmaddp zoo NAME`` prints a card.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmaddp.utils import UserError

SCHEME = 'zoo:'
FOLDER = Path(__file__).parent
SUFFIX = '.safetensors'


@dataclass(frozen=True)
class Card:
    """A model card.

    Args:
        name: What follows ``zoo://``.
        facts: The card's head: method, config, data, hours and figures by name.
        text: The card's Markdown below the head.
    """

    name: str
    facts: dict[str, Any]
    text: str


def list_names() -> list[str]:
    """The names of the zoo's models, sorted."""
    return sorted(path.stem for path in FOLDER.glob(f'*{SUFFIX}'))


def located(path: str | Path) -> Path:
    """The file that ``zoo://NAME`` stands for; any other path as it is.

    Raises:
        UserError: The zoo has no such model; names those that it has.
    """
    # Path turns 'zoo://NAME' into 'zoo:/NAME'.
    if not str(path).startswith(SCHEME):
        return Path(path)
    return file_of(str(path)[len(SCHEME) :].lstrip('/'))


def file_of(name: str) -> Path:
    """The weights of a model.

    Raises:
        UserError: The zoo has no such model; names those that it has.
    """
    if name not in list_names():
        raise UserError(
            f'zoo://{name}: the zoo has no such model; it has {", ".join(list_names())}'
        )
    return FOLDER / f'{name}{SUFFIX}'


def read_card(name: str) -> Card:
    """The card of a model.

    Raises:
        UserError: The zoo has no such model; names those that it has.
    """
    import yaml

    _, head, text = file_of(name).with_suffix('.md').read_text().split('---\n', 2)
    return Card(name, yaml.safe_load(head), text.strip())
