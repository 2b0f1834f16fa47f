"""Which checkpoint a killed run goes on from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import all_gather_object
from mmengine.logging import print_log

from mmaddp.checkpoints import map_checkpoint
from mmaddp.utils import UserError

from .weights import check_local

_NUMBERED = re.compile(r'(?:epoch|iter)_(\d+)\.pth$')


def resolve_resume(config: Config) -> Config:
    """Turn ``resume=True`` into a checkpoint and the seed it was trained with.

    With ``load_from`` the run goes on from that file. Without, from the newest whole checkpoint of
    ``work_dir``; when there is none it starts from the beginning.

    Raises:
        UserError: ``load_from`` is missing, broken or holds no training state.
    """
    if not config.get('resume'):
        return config
    config = config.copy()
    if not config.get('load_from'):
        config.load_from = find_newest(config.work_dir)
    if config.load_from is None:
        print_log(f'{config.work_dir} has no checkpoint: starting from the beginning', 'current')
        config.resume = False
        return config
    meta = read_meta(config.load_from)
    if meta.get('seed') is not None:
        config.randomness = {**(config.get('randomness') or {}), 'seed': meta['seed']}
    return config


def check_agreement(chosen: str | None) -> None:
    """Check that all processes of a run go on from the same checkpoint.

    Args:
        chosen: What this process goes on from, if anything.

    Raises:
        UserError: In each process, when some of them chose another.
    """
    choices = all_gather_object(chosen)
    if len(set(choices)) > 1:
        listed = ', '.join(f'process {rank}: {path}' for rank, path in enumerate(choices))
        raise UserError(
            f'the processes would resume from different checkpoints ({listed}): work_dir must be '
            'a folder that all machines share'
        )


def find_newest(work_dir: str | Path) -> str | None:
    """The newest whole checkpoint that training wrote to ``work_dir``, or None.

    It is the one that ``last_checkpoint`` names, or one of a later step that was written after
    it: a run killed between the two writes leaves the name one step behind.
    """
    named = _named_by_pointer(Path(work_dir))
    folder = named.parent if named else Path(work_dir)
    for path in _candidates(folder, named):
        try:
            read_meta(path)
        except UserError as error:
            print_log(f'not resuming from a broken file: {error}', 'current')
        else:
            return str(path)
    return None


def read_meta(path: str | Path) -> dict[str, Any]:
    """Epoch, iteration, seed and config of a training checkpoint; its tensors stay on the disk.

    Nothing of the file is executed, so that it may go before a reader that would.

    Raises:
        UserError: The file is missing or broken, asks for more than a training's state, or
            training could not go on from it.
    """
    check_local(path)
    if not Path(path).is_file():
        raise UserError(f'{path} does not exist: nothing to resume from')
    checkpoint = map_checkpoint(path)
    if not {'meta', 'optimizer'} <= checkpoint.keys():
        raise UserError(
            f'{path} holds weights but no training state: start from it with '
            '--cfg-options load_from=PATH instead of --resume'
        )
    return checkpoint['meta']


def remove_leftovers(work_dir: str | Path) -> None:
    """Remove what writes that were killed left in ``work_dir``."""
    for pattern in ('.*.pth.*.tmp', '.last_checkpoint.*.tmp'):
        for path in Path(work_dir).glob(pattern):
            path.unlink(missing_ok=True)


def _named_by_pointer(work_dir: Path) -> Path | None:
    pointer = work_dir / 'last_checkpoint'
    text = pointer.read_text().strip() if pointer.is_file() else ''
    if not text:
        return None
    named = Path(text)
    # A folder that was moved keeps its checkpoints but not the paths inside its files.
    return named if named.is_file() else work_dir / named.name


def _candidates(folder: Path, named: Path | None) -> list[Path]:
    """Checkpoints, the most promising first."""
    numbered = [path for path in folder.glob('*.pth') if _step(path) is not None]
    numbered.sort(key=_written_at, reverse=True)
    if named is None or not named.is_file():
        return numbered
    later = [path for path in numbered if _follows(path, named)]
    return [*later, named, *(path for path in numbered if path != named and path not in later)]


def _follows(path: Path, named: Path) -> bool:
    """Whether a file was written after another and at a later step.

    Time alone misleads in a folder that was copied, the step alone in one that was used before.
    """
    return _written_at(path) > _written_at(named) and (_step(path) or 0) > (_step(named) or 0)


def _step(path: Path) -> int | None:
    match = _NUMBERED.match(path.name)
    return int(match.group(1)) if match else None


def _written_at(path: Path) -> tuple[int, int]:
    return path.stat().st_mtime_ns, _step(path) or 0
