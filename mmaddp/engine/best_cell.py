"""The layer and noise level that probed best, applied to a fine-tuning config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmaddp.utils import UserError

KEY = 'best_cell'
NO_CELL = ('', 'none', None)


def apply_best_cell(config: Config, path: str | None) -> None:
    """Set a classifier's backbone to the cell that ``tools/probe.py`` found best.

    The cell's settings make the backbone yield its layer, and the head is made to fit. Without a
    cell the config stays as it is.

    Args:
        config: The whole config, changed in place. Its ``best_cell`` is 'none' afterward, so that
            the config that a run writes down does not need the file.
        path: ``best_cell.json``; 'none' or nothing for no cell.

    Raises:
        UserError: The file is missing or not one of ``tools/probe.py``, or its cell does not fit
            the config's encoder.
    """
    if KEY in config:
        config[KEY] = 'none'
    if path in NO_CELL:
        return
    cell = read_best_cell(path)
    model = config.get('model') or {}
    backbone, head = model.get('backbone') or {}, model.get('head') or {}
    if short_name(backbone.get('type')) != short_name(cell['encoder']):
        raise UserError(
            f'{path}: holds a layer of {cell["encoder"]}, and model.backbone.type is '
            f'{backbone.get("type")}: take a config with this backbone, or another file'
        )
    if 'in_channels' not in head:
        raise UserError(
            f'{path}: {KEY} sets one layer under a head with in_channels, and the config has no '
            f'model.head.in_channels: set the layers in model.backbone, and {KEY}=none'
        )
    backbone.update(cell['settings'])
    head.in_channels = cell['channels']


def read_best_cell(path: str | Path) -> dict[str, Any]:
    """The content of ``best_cell.json``.

    Raises:
        UserError: The file is missing or another one.
    """
    try:
        cell = json.loads(Path(path).read_text())
        return {key: cell[key] for key in ('encoder', 'settings', 'channels')}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f'{KEY}={path}: not a best_cell.json that tools/probe.py has written: give another '
            f'file, or set {KEY}=none'
        ) from None


def short_name(type_: Any) -> str:
    """A registered type without its scope."""
    return str(type_).rsplit('.', 1)[-1]
