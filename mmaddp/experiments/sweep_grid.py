"""The cells of a sweep: every combination of the values that options may take."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmaddp.engine.explain import first_line
from mmaddp.utils import UserError, check_choice

# Values by what a table calls them, each with the config options that it stands for.
Axis = dict[str, dict[str, Any]]
RULES = ('greater', 'less')
_OUTER_COMMA = re.compile(r',(?![^(\[{]*[)\]}])')


@dataclass(frozen=True)
class Cell:
    """One combination.

    Attributes:
        number: From 1, in the grid's order.
        labels: The value of each axis as a table calls it.
        options: The config options, by dotted key.
    """

    number: int
    labels: dict[str, str]
    options: dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """What is swept, and by which metric cells are compared.

    Attributes:
        axes: The axes by name.
        metric: A validation metric, such as 'accuracy/top1'.
        rule: Whether a 'greater' or a 'less' value of it is better.
        final: Options that the final run has besides the best cell's, by dotted key.
    """

    axes: dict[str, Axis]
    metric: str = 'accuracy/top1'
    rule: str = 'greater'
    final: dict[str, Any] = field(default_factory=dict)

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


def read_grid(items: Iterable[str]) -> Grid:
    """Read a grid from a command line.

    Args:
        items: ``NAME=V1,V2`` for a config option, or a ``.py`` file with ``grid``, a dict of
            ``option: [values]`` or ``name: {label: {option: value}}``, and optionally ``metric``,
            ``rule`` and ``final``. Later items replace axes of the same name.

    Raises:
        UserError: A file is missing or has no grid, or an axis has no name or no value.
    """
    settings: dict[str, Any] = {'axes': {}}
    for item in items:
        if item.endswith('.py'):
            read = read_grid_file(item)
            settings = {**settings, **read, 'axes': {**settings['axes'], **read['axes']}}
        else:
            name, axis = parse_axis(item)
            settings['axes'][name] = axis
    return Grid(**settings)


def read_grid_file(path: str) -> dict[str, Any]:
    """The axes of a file, and what else it says.

    Raises:
        UserError: It is missing, does not run, or its grid is none.
    """
    if not Path(path).is_file():
        raise UserError(f'--grid {path}: no such file')
    try:
        read = Config.fromfile(path).to_dict()
    except Exception as error:
        raise UserError(f'--grid {path}: {type(error).__name__}: {first_line(error)}') from error
    if not isinstance(read.get('grid'), dict) or not read['grid']:
        raise UserError(f'--grid {path}: it has no grid = dict(…) of options and their values')
    settings = {key: read[key] for key in ('metric', 'rule', 'final') if key in read}
    check_choice(f'--grid {path}: rule', settings.get('rule', 'greater'), RULES)
    axes = {name: make_axis(name, values) for name, values in read['grid'].items()}
    return {**settings, 'axes': axes}


def parse_axis(item: str) -> tuple[str, Axis]:
    """``NAME=V1,V2`` as an axis; commas inside brackets belong to a value.

    Raises:
        UserError: The name or a value is missing, or a value is there twice.
    """
    name, equals, text = item.partition('=')
    values = [value.strip() for value in _OUTER_COMMA.split(text)]
    if not (equals and name and all(values)):
        raise UserError(f'--grid {item}: give NAME=V1,V2 with the values of a config option')
    return name, make_axis(name, [_literal(value) for value in values])


def make_axis(name: str, values: Sequence | Mapping) -> Axis:
    """An axis from the values of the option ``name``, or from named sets of options.

    Raises:
        UserError: There is no value, one is there twice, or a named one is no dict.
    """
    if isinstance(values, Mapping):
        wrong = [label for label, options in values.items() if not isinstance(options, Mapping)]
        if wrong:
            raise UserError(f'--grid: {name}: {wrong[0]!r} must be a dict of options, by key')
        axis = {str(label): dict(options) for label, options in values.items()}
    else:
        values = list(values) if isinstance(values, (list, tuple)) else [values]
        axis = {str(value): {name: value} for value in values}
    if not axis or len(axis) < len(values):
        raise UserError(f'--grid: {name} needs values that differ; it has {list(values)}')
    return axis


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
