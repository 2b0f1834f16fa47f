"""What every module may use: errors for users, checks, atomic writing, and lazy imports."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable

_ANOTHER_FOLDER = 'give another path, or change its permissions'
_DISK_FAULTS = {
    errno.EACCES: _ANOTHER_FOLDER,
    errno.EPERM: _ANOTHER_FOLDER,
    errno.EROFS: _ANOTHER_FOLDER,
    errno.ENAMETOOLONG: _ANOTHER_FOLDER,
    errno.EEXIST: 'it is a file, give a folder',
    errno.EISDIR: 'it is a folder, give a file',
    errno.ENOTDIR: 'part of it is a file, give a folder',
    errno.ENOSPC: 'free some space, then go on',
    errno.EDQUOT: 'free some space, then go on',
    errno.EFBIG: 'the limit of file sizes is too low (ulimit -f)',
}


# Where configs and tools are: inside a wheel, or beside the package in a checkout.
ROOT = Path(__file__).parent / '.mim'
if not ROOT.is_dir():
    ROOT = Path(__file__).parents[1]


class UserError(ValueError):
    """Input that the user can mend: the message names the file, the key and the remedy."""


def shorten(names: Sequence[object], most: int = 5) -> str:
    """The first of some names for a message."""
    return f'({", ".join(map(repr, names[:most]))}{", ..." if len(names) > most else ""})'


def listed(texts: Sequence[str], most: int) -> str:
    """The first of some texts, and how many more there are."""
    shown = ', '.join(texts[:most])
    return f'{shown} and {len(texts) - most} more' if len(texts) > most else shown


def refuse_if(*faults: tuple[object, str]) -> None:
    """Refuse input for the first fault that it has.

    Args:
        faults: Pairs of a condition and the message if it holds.

    Raises:
        UserError: One of the conditions holds.
    """
    for holds, message in faults:
        if holds:
            raise UserError(message)


def reason_of(error: Exception) -> str:
    """What another library's error says, as a part of one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]


def check_choice(name: str, value: object, choices: Any) -> None:
    """Refuse an option that does not exist.

    Raises:
        UserError: ``value`` is none of ``choices``; names them.
    """
    if value not in choices:
        known = ', '.join(map(repr, choices)) or '(there are none)'
        raise UserError(f'{name}={value!r} is none of {known}')


def require(purpose: str, *packages: str) -> None:
    """Refuse what needs optional packages that are not installed.

    Raises:
        UserError: Tells how to install them.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UserError(f'{purpose} needs {" and ".join(missing)}: pip install {" ".join(missing)}')


def check_range(
    name: str, value: float, low: float, high: float = math.inf, above: bool = False
) -> None:
    """Refuse a number below ``low``, above ``high``, or not finite.

    Args:
        name: Its name, for the message.
        value: The number.
        low: The least.
        high: The largest.
        above: Refuse ``low`` itself too.

    Raises:
        UserError: Names the range.
    """
    if not (low <= value <= high and value < math.inf) or (above and value == low):
        bracket = '(' if above else '['
        bounds = f'in {bracket}{low}, {high}]'
        if high == math.inf:
            bounds = f'above {low}' if above else f'{low} or more'
        raise UserError(f'{name}={value}: must be {bounds}')


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Public names of a package that import their modules at first use (PEP 562)::

        __getattr__, __dir__, __all__ = lazy_exports(__name__, {'coco': ['CocoDataset']})

    Args:
        package: ``__name__`` of the package.
        modules: For each module of the package, relative to it, its public names. A module without
            names is itself the export.

    Returns:
        ``__getattr__``, ``__dir__`` and ``__all__`` of the package.
    """
    owners = {name: module for module, names in modules.items() for name in names}
    exports = sorted(owners) + sorted(module for module, names in modules.items() if not names)

    def get(name: str) -> Any:
        if name in owners:
            return getattr(import_module(f'{package}.{owners[name]}'), name)
        if name in exports:
            return import_module(f'{package}.{name}')
        raise AttributeError(f'module {package!r} has no attribute {name!r}')

    return get, lambda: exports, exports


def check_multiples(size: Sequence[int], side: int) -> None:
    """Refuse an image size (H, W) that squares of ``side`` pixels do not fill.

    Raises:
        UserError: Names both.
    """
    height, width = size
    if height % side or width % side or not height * width:
        raise UserError(
            f'images of {height} x {width} pixels: the model takes multiples of {side}; resize or '
            'crop them'
        )


def find_config(path: str | os.PathLike) -> str:
    """A file of the user, or else a config of this package by its path or its mere name.

    Args:
        path: Such as ``my_config.py``, ``configs/det/…/NAME.py`` or ``NAME.py``.

    Returns:
        The path of the package's config, or ``path`` if there is no such config.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        ours = [config for config in (ROOT / 'configs').rglob('*.py') if config.name == path]
        if path.startswith('configs/'):
            ours = [ROOT / path]
        if len(ours) == 1 and ours[0].exists():
            return str(ours[0])
    return path


def run_tool(main: Callable[[], None]) -> None:
    """Run a command-line tool; what the user can mend ends it in one line and exit status 1."""
    try:
        main()
    except (UserError, OSError) as error:
        message = str(error) if isinstance(error, UserError) else disk_fault(error)
        if message is None:
            raise
        print(f'error: {message}', file=sys.stderr)
        sys.exit(1)


def disk_fault(error: OSError, folder: str = '') -> str | None:
    """One line about a file that cannot be written or read, or None for another error.

    Args:
        error: The error.
        folder: What was written to, where the error does not say it.
    """
    if error.errno not in _DISK_FAULTS:
        return None
    # The second file is the target of a renaming.
    name = error.filename2 or error.filename or folder
    return f'{name}: {error.strerror}: {_DISK_FAULTS[error.errno]}'


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file to a temporary path beside ``path``, which it then replaces at once.

    A reader sees the old file or the whole new one, never a part. If the body raises, the old file
    stays and the temporary one is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp')
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, 'rb') as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file at once."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write a JSON file at once."""
    write_text(path, json.dumps(content, indent=2) + '\n')
