"""What a table of conversion rules is made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Callable

from torch import Tensor

# Raised whenever a table gives another result for some file; stands in every converted file.
RULES_VERSION = 2

PARTS = ('tokenizer', 'token_predictor', 'decoder')
TARGETS = ('backbone', 'detector', 'pretrain', *PARTS, 'official')


@dataclass(frozen=True)
class Rule:
    """What becomes of the tensors whose names fit one pattern.

    Args:
        source: Name in the published file. ``{i}`` or another single letter stands for an index,
            ``{rest}`` for any tail.
        targets: Names that it takes here, with the same placeholders; none drops the tensor.
        shape: Sizes separated by blanks: a number, a symbol that has one value throughout the
            file, a form such as ``3C``, ``C/2`` or ``G^2+1``, or ``*``. Empty means any shape.
        part: The part of the network, for the summary.
        why: Why it is dropped or refused, or what the transform does.
        optional: The file may lack it.
        group: Rules of one group are all filled or all absent.
        on_request: Dropped unless the one who loads has a place for it (a norm, say).
        refused: A tensor that tells of a network which is not this one.
        transform: Applied to the tensor.
        piece: The tensor is the so-manieth piece of its target, counted from 0; all pieces are
            stacked along the first axis.
    """

    source: str
    targets: tuple[str, ...] = ()
    shape: str = ''
    part: str = ''
    why: str = ''
    optional: bool = False
    group: str = ''
    on_request: bool = False
    refused: bool = False
    transform: Callable[[Tensor], Tensor] | None = None
    piece: int | None = None

    @property
    def required(self) -> bool:
        """Whether a file without it is incomplete, its group being there."""
        return bool(self.targets) and not (self.optional or self.on_request)


def keep(source: str, target: str, shape: str, part: str, **options: object) -> Rule:
    """A tensor that is taken over under another name."""
    return Rule(source, (target,), shape, part, **options)


def drop(source: str, part: str, why: str, shape: str = '') -> Rule:
    """A tensor that has no place in the target."""
    return Rule(source, shape=shape, part=part, why=why)


def refuse(source: str, why: str) -> Rule:
    """A tensor whose presence means that the file cannot be converted at all."""
    return Rule(source, why=why, refused=True)


@dataclass(frozen=True)
class Added:
    """A tensor that the target has and no file need hold.

    Args:
        name: Its name in the target.
        shape: Its sizes, in the symbols of the rules.
        part: The part of the network, for the summary.
        why: What it is filled with.
        make: Makes the tensor of given sizes.
    """

    name: str
    shape: str
    part: str
    why: str
    make: Callable[[Sequence[int]], Tensor]


@dataclass(frozen=True)
class Source:
    """A layout of published files.

    Args:
        name: What the user calls it.
        looks_like: The keys that it has, in words, for the message when no layout fits.
        recognize: Whether a file's keys are in this layout.
        tables: For each target, the rules for a file with the given keys.
        added: For a target, what it has beyond its rules.
    """

    name: str
    looks_like: str
    recognize: Callable[[Collection[str]], bool]
    tables: dict[str, Callable[[Collection[str]], Sequence[Rule]]]
    added: dict[str, Sequence[Added]] = field(default_factory=dict)
