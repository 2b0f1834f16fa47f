"""Results of experiments: a folder that records its settings and can be continued."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mmaddp.utils import UserError, write_json

SETTINGS_FILE, RESULTS_FILE = 'settings.json', 'results.json'


class ResultsFolder:
    """Results of one experiment by key, in a folder that several processes may share.

    ``settings.json`` is the identity, ``results.json`` maps keys to results. Both are written
    atomically.

    Args:
        path: The folder, created if missing.
        identity: Everything that decides the results, JSON-serializable.
        fresh: Discard earlier results.

    Raises:
        UserError: The folder has another identity; names the differences.
    """

    def __init__(
        self, path: str | Path, identity: Mapping[str, Any] | None = None, fresh: bool = False
    ) -> None:
        self.path = Path(path)
        if fresh:
            for name in (SETTINGS_FILE, RESULTS_FILE):
                (self.path / name).unlink(missing_ok=True)
        self.agree(identity or {})

    def agree(self, identity: Mapping[str, Any], replace: bool = False) -> None:
        """Record an identity. New entries are added; known ones must agree, or are replaced."""
        if not identity and (self.path / SETTINGS_FILE).exists():
            return
        identity = json.loads(json.dumps(identity, default=str))
        with self._locked():
            known = read_json(self.path / SETTINGS_FILE)
            differing = [key for key in identity if key in known and known[key] != identity[key]]
            if differing and not replace:
                differences = ', '.join(
                    _difference(key, known[key], identity[key]) for key in differing
                )
                raise UserError(
                    f'{self.path} holds results of {differences}: give another folder, or remove it'
                )
            merged = {**known, **identity}
            if merged != known or not (self.path / SETTINGS_FILE).exists():
                write_json(self.path / SETTINGS_FILE, merged)

    @property
    def results(self) -> dict[str, Any]:
        """All results by key, in order of insertion."""
        return read_json(self.path / RESULTS_FILE)

    def __contains__(self, key: str) -> bool:
        return key in self.results

    def __getitem__(self, key: str) -> Any:
        return self.results[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The result of a key, or ``default``."""
        return self.results.get(key, default)

    def add(self, key: str, result: Any) -> None:
        """Add or replace a result."""
        with self._locked():
            write_json(self.path / RESULTS_FILE, {**self.results, key: result})

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Reserve a key for the body; yields False if another process holds it."""
        with self._lock_file(key) as lock:
            try:
                # The kernel releases the lock even if the process is killed.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock_file('') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _lock_file(self, key: str) -> Any:
        path = self.path / '.locks' / f'{quote(key, safe="")}.lock'
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, 'w')


def _difference(key: str, known: Any, given: Any) -> str:
    """Short values are shown; hashes and nested settings are only named."""
    if max(len(str(known)), len(str(given))) > 40:
        return f'another {key}'
    return f'{key} {known}, not {given}'


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object; empty when there is no file.

    Raises:
        UserError: The file holds no JSON object.
    """
    try:
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f'{path}: not a results file of mmaddp; give another folder')
    return content


def digest(content: Any) -> str:
    """SHA-256 of settings, independent of the order of keys."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table with columns aligned as text.

    Args:
        header: Column heads.
        rows: Rows of cells. Floats get four significant digits, None is a dash.
    """
    cells = [[*header], *([_cell(value) for value in row] for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells)]
    cells.insert(1, ['-' * width for width in widths])
    lines = ([cell.ljust(width) for cell, width in zip(row, widths)] for row in cells)
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def latex_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A LaTeX table of the package booktabs, as :func:`markdown_table`."""
    lines = [' & '.join(map(_escape, line)) + r' \\' for line in ([*header], *rows)]
    body = [r'\toprule', lines[0], r'\midrule', *lines[1:], r'\bottomrule']
    columns = 'l' * len(header)
    return '\n'.join([rf'\begin{{tabular}}{{{columns}}}', *body, r'\end{tabular}']) + '\n'


def _escape(value: Any) -> str:
    """Text with the characters that LaTeX reads as commands."""
    text = re.sub(r'([&%$#_{}])', r'\\\1', '--' if value is None else _cell(value))
    signs = {'▲': r'$\blacktriangle$', '▼': r'$\blacktriangledown$', '<': '$<$', '±': r'$\pm$'}
    return ''.join(signs.get(one, one) for one in text)


def _cell(value: Any) -> str:
    if value is None:
        return '-'
    return f'{value:.4g}' if isinstance(value, float) else str(value)
