"""Whole models out of any file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmaddp.utils import UserError

from .convert import convert_with_summary, own_meta, recognise, unwrap
from .reader import read_checkpoint

ENCODERS = ('addp', 'mae')


def read_model_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint for a whole model, converting a published detector on the way.

    Args:
        path: A detector of detectron2 (.pkl or .pth), which becomes MMDetection's, or a file of
            this package or of OpenMMLab, whose names stay as they are.

    Returns:
        ``{'state_dict': names and tensors on the CPU, 'meta': what the file says of itself}``,
        'meta' empty where the file says nothing.

    Raises:
        UserError: The file cannot be read or converted, or holds no whole model.
    """
    checkpoint = read_checkpoint(path)
    try:
        tensors = unwrap(checkpoint)
        source = recognise(checkpoint, tensors)
        if source in ENCODERS or own_meta(checkpoint).get('target') == 'backbone':
            raise UserError(
                'holds an encoder, not a whole model; name it in the backbone: '
                "init_cfg=dict(type='Pretrained', checkpoint=…)"
            )
        if source == 'vitdet':
            tensors = convert_with_summary(checkpoint, source, 'detector')[1].state_dict
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    meta = checkpoint.get('meta')
    return {'state_dict': tensors, 'meta': dict(meta) if isinstance(meta, Mapping) else {}}
