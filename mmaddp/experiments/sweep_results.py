"""What a sweep leaves on the disk: results of cells, a table, and the best cell."""

from __future__ import annotations

import csv
import fcntl
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmaddp.utils import UserError, atomic_write

from .sweep_grid import Cell, Grid

OPEN = 'open'
DONE = 'done'
DIVERGED = 'diverged'


@dataclass(frozen=True)
class Result:
    """How a cell ended.

    Attributes:
        state: 'done', 'diverged', or 'open' where it has not ended.
        metrics: The validation metrics at its end, by name.
        reason: Why it diverged.
    """

    state: str = OPEN
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ''


class SweepFolder:
    """The work folder of a sweep.

    ``sweep.json`` says which sweep it is, ``cells/NNN/result.json`` how a cell ended;
    ``results.csv`` and ``results.md`` are the table. Several processes may work on one folder:
    a cell belongs to the one that holds the lock on ``cells/NNN/lock``, which the system lets go
    when that process ends in whatever way.

    Args:
        path: The folder.
        grid: What is swept.
    """

    def __init__(self, path: str | Path, grid: Grid) -> None:
        self.path, self.grid = Path(path), grid
        self.cells = grid.cells

    def check_identity(self, identity: dict[str, Any]) -> None:
        """Write down which sweep this is, or check that the folder holds the same.

        Raises:
            UserError: The folder holds another sweep; names what differs.
        """
        identity = json.loads(json.dumps({**identity, **asdict(self.grid)}, default=str))
        path = self.path / 'sweep.json'
        if not path.is_file():
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(identity, indent=2) + '\n')
            return
        known = json.loads(path.read_text())
        # What follows from the results may change; what they follow from may not.
        differing = [key for key, value in identity.items() if known.get(key) != value]
        differing = [key for key in differing if key not in ('metric', 'rule', 'final')]
        if differing:
            raise UserError(
                f'{self.path} holds a sweep whose {", ".join(differing)} differ: give another '
                '--work-dir, or remove this one'
            )

    def folder(self, cell: Cell) -> Path:
        """Where a cell runs."""
        return self.path / 'cells' / f'{cell.number:03d}'

    @contextmanager
    def claim(self, cell: Cell) -> Iterator[bool]:
        """Whether this process may run the cell, which no other then may."""
        self.folder(cell).mkdir(parents=True, exist_ok=True)
        with open(self.folder(cell) / 'lock', 'w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def read(self, cell: Cell) -> Result:
        """How a cell ended."""
        path = self.folder(cell) / 'result.json'
        return Result(**json.loads(path.read_text())) if path.is_file() else Result()

    def write(self, cell: Cell, result: Result) -> None:
        """Write down how a cell ended."""
        with atomic_write(self.folder(cell) / 'result.json') as temporary:
            temporary.write_text(json.dumps(asdict(result), indent=2) + '\n')

    def results(self) -> dict[int, Result]:
        """The results of all cells by their numbers."""
        return {cell.number: self.read(cell) for cell in self.cells}

    def score(self, result: Result) -> float | None:
        """The metric that cells are compared by, or None where there is none.

        Raises:
            UserError: The cell is done and has no such metric.
        """
        if result.state != DONE:
            return None
        if self.grid.metric not in result.metrics:
            known = ', '.join(sorted(result.metrics)) or 'none: val_interval may be too long'
            raise UserError(f'--metric {self.grid.metric} was not validated; there are: {known}')
        return result.metrics[self.grid.metric]

    def best(self) -> tuple[Cell, float] | None:
        """The best cell so far, the first of equals, and its score."""
        results = self.results()
        scored = [(cell, self.score(results[cell.number])) for cell in self.cells]
        scored = [(cell, score) for cell, score in scored if _is_number(score)]
        if not scored:
            return None
        sign = 1 if self.grid.rule == 'greater' else -1
        return max(scored, key=lambda pair: sign * pair[1])

    def write_tables(self) -> None:
        """Write ``results.csv``, in the grid's order, and ``results.md``, the best first."""
        results = self.results()
        rows = [self._row(cell, results[cell.number]) for cell in self.cells]
        header = ['cell', *self.grid.axes, self.grid.metric, 'state']
        with atomic_write(self.path / 'results.csv') as temporary, open(temporary, 'w') as file:
            csv.writer(file, lineterminator='\n').writerows([header, *rows])
        sign = -1 if self.grid.rule == 'greater' else 1
        ranked = sorted(rows, key=lambda row: sign * row[-2] if _is_number(row[-2]) else math.inf)
        with atomic_write(self.path / 'results.md') as temporary:
            temporary.write_text(_markdown([_short(header), *ranked]) + '\n')

    def _row(self, cell: Cell, result: Result) -> list:
        score = self.score(result)
        return [cell.number, *cell.labels.values(), '' if score is None else score, result.state]


def _is_number(score: Any) -> bool:
    return isinstance(score, (int, float)) and math.isfinite(score)


def _short(header: Sequence[str]) -> list[str]:
    """Option names without what stands before their last dot, where that says enough."""
    last = [name.rsplit('.', 1)[-1] for name in header]
    return [short if last.count(short) == 1 else name for short, name in zip(last, header)]


def _markdown(rows: Sequence[Sequence]) -> str:
    lines = [[_text(value) for value in row] for row in rows]
    lines.insert(1, ['---'] * len(lines[0]))
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _text(value: Any) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
