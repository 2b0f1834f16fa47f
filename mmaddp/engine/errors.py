"""Errors told in one line: those of dataloader workers, full memory and lost processes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config

from mmaddp.utils import UserError

from .validation import accepted_keys, find_type

_LOST_PEER = ('Connection closed by peer', 'Connection reset by peer', 'remote process exited')


@contextmanager
def clear_errors(config: Config | None = None) -> Iterator[None]:
    """Turn errors that a user can mend into :class:`UserError` of one line; others pass.

    Args:
        config: The config that is run, whose keys the remedy may name.
    """
    try:
        yield
    except Exception as error:
        message = _one_line(error, (config or {}).get('model') or {})
        if message is None:
            raise
        _tell_launcher(message)
        raise UserError(message) from error


def _one_line(error: Exception, model: dict) -> str | None:
    text = str(error).strip()
    if isinstance(error, UserError):
        # A dataloader worker's error carries its traceback, which ends with the error itself.
        return text.rsplit(f'{type(error).__name__}: ', 1)[-1]
    if 'out of memory' in text.lower():
        parts = [part for part in ('backbone', 'encoder') if _can_recompute(model.get(part))]
        return (
            f'{text.splitlines()[0]} To need less, give --cfg-options '
            'train_dataloader.batch_size=N with optim_wrapper.accumulative_counts=M'
            + ''.join(f', or model.{part}.with_cp=True' for part in parts)
        )
    return 'another process of this run ended' if any(s in text for s in _LOST_PEER) else None


def _can_recompute(part: Any) -> bool:
    target = find_type(part['type'])[0] if isinstance(part, dict) and 'type' in part else None
    return target is not None and 'with_cp' in accepted_keys(target)[0]


def _tell_launcher(message: str) -> None:
    """Leave the message where torchrun looks for it, so that it can be the last thing printed."""
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if path:
        with open(path, 'w') as file:
            json.dump({'message': message, 'timestamp': int(time.time())}, file)
