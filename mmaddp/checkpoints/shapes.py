"""Symbolic shapes: one value a symbol throughout a file, and who disagrees with it."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

FORM = re.compile(r'(\d+)?([A-Za-z]+)(?:\^(\d))?(?:/(\d+))?([+-]\d+)?')


@dataclass(frozen=True)
class Dim:
    """One size as a function of a symbol: ``factor * symbol ** power / divisor + offset``."""

    text: str
    symbol: str
    factor: int = 1
    power: int = 1
    divisor: int = 1
    offset: int = 0

    def solve(self, size: int) -> int | None:
        """The symbol's value that gives ``size``; None when no positive integer does."""
        value, remainder = divmod((size - self.offset) * self.divisor, self.factor)
        if remainder or value <= 0:
            return None
        if self.power == 1:
            return value
        root = math.isqrt(value)
        return root if root * root == value else None

    def size(self, value: int) -> int:
        """The size that a symbol's value gives."""
        return self.factor * value**self.power // self.divisor + self.offset


@cache
def parse_shape(text: str) -> tuple[Dim | int | None, ...]:
    """A rule's shape, size by size: a form, a number, or None for any size."""
    return tuple(parse_dim(word) for word in text.split())


def parse_dim(text: str) -> Dim | int | None:
    """One word of a rule's shape."""
    if text == '*':
        return None
    if text.isdigit():
        return int(text)
    factor, symbol, power, divisor, offset = FORM.fullmatch(text).groups()
    return Dim(text, symbol, int(factor or 1), int(power or 1), int(divisor or 1), int(offset or 0))


def shape_conflicts(shapes: Iterable[tuple[str, tuple[int, ...], str]]) -> list[str]:
    """Tensors whose shapes do not fit, each in words.

    Every size that a symbol enters votes for the symbol's value; whoever is outvoted is named,
    and all are named in a tie.

    Args:
        shapes: (key, shape, the rule's shape) of each tensor.
    """
    shapes = [(key, shape, parse_shape(text)) for key, shape, text in shapes if text]
    values = symbol_values((shape, dims) for _, shape, dims in shapes)
    return [
        f'{key} is {shape}, expected ({expected_shape(dims, values)})'
        for key, shape, dims in shapes
        if not fits(shape, dims, values)
    ]


def symbol_values(
    shapes: Iterable[tuple[tuple[int, ...], Sequence[Dim | int | None]]],
) -> dict[str, int | None]:
    """What each symbol stands for, by vote; None in a tie."""
    votes: dict[str, Counter] = defaultdict(Counter)
    for shape, dims in shapes:
        for size, dim in zip(shape, dims):
            if isinstance(dim, Dim) and len(shape) == len(dims) and dim.solve(size) is not None:
                votes[dim.symbol][dim.solve(size)] += 1
    return {symbol: winner(counter) for symbol, counter in votes.items()}


def winner(counter: Counter) -> int | None:
    """The value with the most votes; None in a tie."""
    (value, count), *others = counter.most_common(2)
    return None if others and others[0][1] == count else value


def fits(shape: tuple[int, ...], dims: Sequence, values: dict[str, int | None]) -> bool:
    """Whether a tensor's shape is the rule's, given the symbols' values."""
    if len(shape) != len(dims):
        return False
    for size, dim in zip(shape, dims):
        if isinstance(dim, Dim):
            if dim.solve(size) is None or dim.solve(size) != values.get(dim.symbol):
                return False
        elif dim is not None and dim != size:
            return False
    return True


def sizes_of(text: str, values: dict[str, int]) -> tuple[int, ...]:
    """The sizes of a rule's shape, all of whose symbols have values."""
    return tuple(
        dim.size(values[dim.symbol]) if isinstance(dim, Dim) else dim for dim in parse_shape(text)
    )


def expected_shape(dims: Sequence, values: dict[str, int | None]) -> str:
    """The rule's shape with numbers where the symbols' values are known."""

    def word(dim: Dim | int | None) -> str:
        if isinstance(dim, Dim):
            value = values.get(dim.symbol)
            return dim.text if value is None else str(dim.size(value))
        return '*' if dim is None else str(dim)

    return ', '.join(word(dim) for dim in dims)
