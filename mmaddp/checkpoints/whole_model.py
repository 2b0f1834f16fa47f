"""Whole models out of any file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmaddp.utils import UserError

from .convert import convert_with_summary, own_meta, recognize, unwrap
from .reader import read_checkpoint
from .rules import PARTS
from .sources.parts import TOKEN_POSITIONS

ENCODER = 'encoder'
HELD = {'addp': ENCODER, 'mae': ENCODER, 'mage': 'token_predictor', 'vqgan': 'tokenizer'}
# Only a pre-training has this tensor.
PRETRAINING = 'decoder.pixel_pos_embed'


def read_model_checkpoint(path: str | Path, model_names: Collection[str] = ()) -> dict[str, Any]:
    """Read a checkpoint for a whole model, converting a published one on the way.

    Args:
        path: A detector of detectron2 (.pkl or .pth), which becomes MMDetection's, a file of
            ADDP's authors for a pre-training, or a file of this package or of OpenMMLab, whose
            names stay as they are.
        model_names: The tensors of the model to fill, which tell a pre-training.

    Returns:
        ``{'state_dict': names and tensors on the CPU, 'meta': what the file says of itself}``,
        'meta' empty where the file says nothing.

    Raises:
        UserError: The file cannot be read or converted, or holds no whole model.
    """
    checkpoint = read_checkpoint(path)
    try:
        tensors = unwrap(checkpoint)
        source = recognize(checkpoint, tensors)
        target = whole_target(source, PRETRAINING in model_names)
        held = part_held(checkpoint, source)
        if target:
            on_request = TOKEN_POSITIONS.ours in model_names
            tensors = convert_with_summary(tensors, source, target, on_request)[1].state_dict
        elif held:
            raise UserError(not_whole(held))
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    meta = checkpoint.get('meta')
    return {'state_dict': tensors, 'meta': dict(meta) if isinstance(meta, Mapping) else {}}


def whole_target(source: str | None, is_pretraining: bool) -> str | None:
    """What a published file converts to as a whole model; None where it does not."""
    if source == 'addp' and is_pretraining:
        return 'pretrain'
    return 'detector' if source == 'vitdet' else None


def part_held(checkpoint: Mapping[str, Any], source: str | None) -> str | None:
    """The one part that a file is good for; None where it holds a whole model."""
    target = own_meta(checkpoint).get('target')
    if target == 'backbone':
        return ENCODER
    return target if target in PARTS else HELD.get(source)


def not_whole(part: str) -> str:
    """Where a file belongs that holds one part."""
    article, place = ('an', 'backbone') if part == ENCODER else ('a', part)
    return (
        f'holds {article} {part}, not a whole model; name it in the {place}: '
        "init_cfg=dict(type='Pretrained', checkpoint=…)"
    )
