"""The layer and noise level that probed best, applied to a fine-tuning config."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmaddp.utils import UserError

KEY = 'best_cell'
NO_CELL = ('', 'none', None)
AUTO = 'auto'


def apply_best_cell(config: Config, path: str | None) -> None:
    """Set a model's backbone to the cell that ``tools/probe.py`` found best.

    The cell's settings make the backbone yield its layer alone. The head of a classifier is made to
    fit, as are neck or decode head of a detector, a segmentor or a depth estimator. Without a cell
    the config does not change.

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
    backbone.update(cell['settings'])
    if 'in_channels' in head:
        head.in_channels = cell['channels']
    elif not fit_dense(model, cell):
        raise UserError(
            f'{path}: {KEY} sets one layer, and the config has no model.head.in_channels, no '
            'pyramid and no linear decode_head to take it: set the layers in model.backbone, and '
            f'{KEY}=none'
        )


def fit_dense(model: ConfigDict, cell: dict[str, Any]) -> bool:
    """Make neck or decode head take one map; whether they can.

    ViTDet's simple feature pyramid takes the place of one that resizes four depths.
    """
    neck, head = model.get('neck') or {}, model.get('decode_head') or {}
    name = short_name(neck.get('type'))
    if name == AUTO:  # fitted to its encoder afterwards
        return True
    if name == 'SimpleFeaturePyramid':
        neck.pop('in_indices', None)
        neck.update(in_channels=cell['channels'], scale_factors=scales_of(cell['stride'] or 16))
        return True
    if name == 'Feature2Pyramid':
        model.neck = ConfigDict(
            type='mmaddp.SimpleFeaturePyramid',
            in_channels=cell['channels'],
            out_channels=neck.embed_dim,
            num_outs=4,
            scale_factors=scales_of(cell['stride'] or 16),
        )
        return True
    if short_name(head.get('type')).startswith('Linear'):
        head.pop('input_transform', None)
        head.update(in_channels=cell['channels'], in_index=-1)
        return True
    return False


def scales_of(stride: int) -> list[float]:
    """Scale factors, powers of two, that bring the stride of a map close to 4, 8, 16 and 32."""
    return [2.0 ** round(math.log2(stride / wanted)) for wanted in (4, 8, 16, 32)]


def read_best_cell(path: str | Path) -> dict[str, Any]:
    """The content of ``best_cell.json``.

    Raises:
        UserError: The file is missing or another one.
    """
    try:
        cell = json.loads(Path(path).read_text())
        return {key: cell[key] for key in ('encoder', 'settings', 'channels', 'stride')}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f'{KEY}={path}: not a best_cell.json that tools/probe.py has written: give another '
            f'file, or set {KEY}=none'
        ) from None


def short_name(type_: Any) -> str:
    """A registered type without its scope."""
    return str(type_).rsplit('.', 1)[-1]
