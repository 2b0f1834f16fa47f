"""Grids of config options: their files, their axes and their cells."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmaddp.utils import UserError, check_choice

# Values by the label that a table shows, each with its config options.
Axis = dict[str, dict[str, Any]]
RULES = ('greater', 'less')
_OUTER_COMMA = re.compile(r',(?![^(\[{]*[)\]}])')


@dataclass(frozen=True)
class Cell:
    """One combination.

    Attributes:
        number: From 1, in the grid's order.
        labels: The value of each axis as a table shows it.
        options: The config options, by dotted key.
    """

    number: int
    labels: dict[str, str]
    options: dict[str, Any]

    @property
    def key(self) -> str:
        """Its key among results, and its work folder."""
        return f'cells/{self.number:03d}'

    def __str__(self) -> str:
        return ', '.join(f'{name}={label}' for name, label in self.labels.items())


@dataclass(frozen=True)
class Grid:
    """What is swept, and the metric that ranks the cells.

    Attributes:
        axes: The axes by name.
        metric: A validation metric, such as 'accuracy/top1'.
        rule: Whether a 'greater' or a 'less' value is better.
        final: Options of the final run, besides those of the best cell, by dotted key.
    """

    axes: dict[str, Axis]
    metric: str = 'accuracy/top1'
    rule: str = 'greater'
    final: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice('rule', self.rule, RULES)

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
        path: A config, or a grid file with ``config``, the path of its config from there.
        items: As for :func:`read_grid`; replace axes of the file.
    """
    base = Config.fromfile(path).get('config')
    if base is not None:
        return str(Path(path).parent / base), read_grid([path, *items])
    if not items:
        raise UserError(f'{path} is not a grid file: add --grid NAME=V1,V2 or give a grid file')
    return path, read_grid(items)


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
            read = Config.fromfile(item).to_dict()
            grid = read.get('grid') or {}
            if read.get('variants'):
                grid = {**grid, 'variant': read['variants']}
            if not grid:
                raise UserError(f'{item}: has neither grid nor variants')
            axes.update({name: make_axis(name, values) for name, values in grid.items()})
            settings.update({k: read[k] for k in ('metric', 'rule', 'final') if k in read})
        else:
            name, axis = parse_axis(item)
            axes[name] = axis
    return Grid(axes, **settings)


def parse_axis(item: str) -> tuple[str, Axis]:
    """``NAME=V1,V2`` as an axis; commas inside brackets belong to a value."""
    name, equals, text = item.partition('=')
    values = [value.strip() for value in _OUTER_COMMA.split(text)]
    if not (equals and name and all(values)):
        raise UserError(f'--grid {item}: give NAME=V1,V2 with the values of a config option')
    return name, make_axis(name, [_literal(value) for value in values])


def make_axis(name: str, values: Sequence | Mapping) -> Axis:
    """An axis from the values of the option ``name``, or from named sets of options."""
    if isinstance(values, Mapping):
        return {str(label): dict(options) for label, options in values.items()}
    values = list(values) if isinstance(values, (list, tuple)) else [values]
    axis = {str(value): {name: value} for value in values}
    # Two values with one label would silently become one cell.
    if len(axis) < len(values):
        raise UserError(f'--grid: {name} needs values that differ; it has {values}')
    return axis


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
