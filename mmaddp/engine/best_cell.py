"""The layer and noise level that probed best, taken up by a fine-tuning config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmaddp.utils import UserError

KEY = 'best_cell'
NO_CELL = ('', 'none', None)
CELL_KEYS = {'method', 'layer', 'level', 'time', 'channels', 'accuracy', 'out_index'}
METHODS = {
    'mmaddp.DDAEUNet': 'DDAE',
    'mmaddp.DDAEDiT': 'DDAE',
    'mmaddp.DiffusersUNet': 'DDAE',
    'mmaddp.ADDPViT': 'ADDP',
    'mmaddp.DARLViT': 'DARL',
}


def apply_best_cell(config: Config, path: str | None) -> None:
    """Set a classifier's backbone to the cell that ``tools/probe.py`` found best.

    The backbone is cut behind the cell's layer, DDAE's is given its time input, and the head is
    made to fit. The config's own values stay where there is no cell.

    Args:
        config: The whole config, changed in place. Its ``best_cell`` is 'none' afterward, so that
            what a run writes down needs the file no more.
        path: ``best_cell.json``; 'none' or nothing for no cell.

    Raises:
        UserError: The file is missing or is none of ``tools/probe.py``, or the cell is of another
            method or of another encoder than the config's.
    """
    if KEY in config:
        config[KEY] = 'none'
    if path in NO_CELL:
        return
    cell = read_best_cell(path)
    model = config.get('model') or {}
    backbone, head = model.get('backbone') or {}, model.get('head') or {}
    check_method(cell, backbone.get('type'), path)
    if 'in_channels' not in head:
        raise UserError(
            f'{path}: {KEY} sets one layer under a head with in_channels, and the config has no '
            f'model.head.in_channels: set the layers in model.backbone, and {KEY}=none'
        )
    backbone.update(settings_of(cell))
    head.in_channels = cell['channels']
    check_builds(backbone, path)


def read_best_cell(path: str | Path) -> dict[str, Any]:
    """The content of ``best_cell.json``.

    Raises:
        UserError: It is missing, or is another file.
    """
    if not Path(path).is_file():
        raise UserError(f'{KEY}={path}: no such file: tools/probe.py writes it, or set {KEY}=none')
    try:
        cell = json.loads(Path(path).read_text())
    except ValueError:
        cell = None
    if not isinstance(cell, dict) or not cell.keys() >= CELL_KEYS:
        missing = sorted(CELL_KEYS - set(cell if isinstance(cell, dict) else ()))
        raise UserError(
            f'{path}: has no {", ".join(missing)}: name the best_cell.json that tools/probe.py '
            'has written'
        )
    return cell


def check_method(cell: dict[str, Any], backbone: str | None, path: str) -> None:
    """Refuse a cell of another method than the backbone's."""
    method = METHODS.get(backbone)
    if cell['method'] != method:
        fitting = [name for name, known in METHODS.items() if known == cell['method']]
        raise UserError(
            f'{path}: holds a layer of {cell["method"]}, and model.backbone.type is {backbone}: '
            f'take a config of {" or ".join(fitting) or "its method"}, or another file'
        )


def settings_of(cell: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the backbone that a cell says."""
    if cell['method'] == 'DDAE':
        return dict(out_blocks=[cell['layer']], time=cell['time'])
    return dict(out_indices=[cell['out_index']])


def check_builds(backbone: dict[str, Any], path: str) -> None:
    """Refuse a layer that the encoder of the config does not have.

    Raises:
        UserError: Names the file, and the layers that there are.
    """
    try:
        with torch.device('meta'):
            MODELS.build(backbone.to_dict())
    except ValueError as error:
        raise UserError(f'{path}: is of another encoder than the config: {error}') from None
