"""Grids of config options."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmaddp.utils import UserError, check_choice

# Config options by the label that a table shows.
Axis = dict[str, dict[str, Any]]
RULES = ('greater', 'less')
_OUTER_COMMA = re.compile(r',(?![^(\[{]*[)\]}])')


@dataclass(frozen=True)
class Cell:
    """A combination of values.

    Attributes:
        number: Position in the grid, from 1.
        labels: The label of each axis in tables.
        options: Config options by dotted key.
    """

    number: int
    labels: dict[str, str]
    options: dict[str, Any]

    @property
    def key(self) -> str:
        """Key of the result and work folder."""
        return f'cells/{self.number:03d}'

    def __str__(self) -> str:
        return ', '.join(f'{name}={label}' for name, label in self.labels.items())


@dataclass(frozen=True)
class Grid:
    """The swept options and the metric that ranks the cells.

    Attributes:
        axes: Axes by name.
        metric: A validation metric, such as 'accuracy/top1'.
        rule: Whether a 'greater' or a 'less' value is better.
        final: Options of the final run by dotted key, added to those of the best cell.
    """

    axes: dict[str, Axis]
    metric: str = 'accuracy/top1'
    rule: str = 'greater'
    final: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice('rule', self.rule, RULES)
        if not self.axes:
            raise UserError(
                'nothing to sweep: give --grid NAME=V1,V2 or a file with grid or variants'
            )

    @property
    def cells(self) -> list[Cell]:
        """Every combination; the last axis varies fastest."""
        rows = itertools.product(*(axis.items() for axis in self.axes.values()))
        return [
            Cell(
                number,
                labels={name: label for name, (label, _) in zip(self.axes, row)},
                options={key: value for _, options in row for key, value in options.items()},
            )
            for number, row in enumerate(rows, start=1)
        ]


def read_sweep(path: str, items: Sequence[str] = ()) -> tuple[str, Grid]:
    """The config and the grid of a command line.

    Args:
        path: A config, or a grid file whose ``config`` is a path relative to it.
        items: See :func:`read_grid`; they replace axes of the file.
    """
    base = _read(path).get('config')
    if base is not None:
        return str(Path(path).parent / base), read_grid([path, *items])
    return path, read_grid(items)


def _read(path: str) -> dict[str, Any]:
    # The tools' help needs no config, and should not wait for torch.
    from mmaddp.engine.runs import read_config

    return read_config(path).to_dict()


def read_grid(items: Iterable[str]) -> Grid:
    """Read a grid from a command line; later items replace axes of the same name.

    Args:
        items: ``NAME=V1,V2`` for a config option, or a grid file. A grid file has ``grid``, a dict
            of ``option: [values]`` or ``name: {label: {option: value}}``, or ``variants``, a dict
            of ``name: {option: value}``; and optionally ``metric``, ``rule`` and ``final``.
    """
    settings: dict[str, Any] = {}
    axes: dict[str, Axis] = {}
    for item in items:
        if item.endswith('.py'):
            read = _read(item)
            grid = {'variant': read['variants']} if read.get('variants') else {}
            grid = {**read.get('grid', {}), **grid}
            axes.update({name: make_axis(name, values) for name, values in grid.items()})
            settings.update({k: read[k] for k in ('metric', 'rule', 'final') if k in read})
        else:
            axes.update([parse_axis(item)])
    return Grid(axes, **settings)


def parse_axis(item: str) -> tuple[str, Axis]:
    """Name and axis of ``NAME=V1,V2``; commas inside brackets belong to a value."""
    name, equals, text = item.partition('=')
    values = [value.strip() for value in _OUTER_COMMA.split(text)]
    if not (equals and name and all(values)):
        raise UserError(f'--grid {item}: give NAME=V1,V2, the values of a config option')
    return name, make_axis(name, [_literal(value) for value in values])


def make_axis(name: str, values: Sequence | Mapping) -> Axis:
    """An axis from the values of the option ``name``, or from named sets of options."""
    if isinstance(values, Mapping):
        return {str(label): dict(options) for label, options in values.items()}
    values = list(values) if isinstance(values, (list, tuple)) else [values]
    axis = {str(value): {name: value} for value in values}
    # Two values with one label would silently become one cell.
    if len(axis) < len(values):
        raise UserError(f'--grid {name}: repeated values in {values}')
    return axis


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
