"""Whether a checkpoint's weights fit a model, before they are loaded."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine.model import BaseTTAModel
from torch import nn

from mmaddp.utils import UserError

# No test depends on these: the config has the preprocessor's numbers, the rest is for training.
_FREE_PREFIXES = ('data_preprocessor.', 'auxiliary_head.')
_FREE_SUFFIX = 'num_batches_tracked'


def check_weights(
    model: nn.Module,
    weights: Mapping[str, torch.Tensor],
    path: str,
    complete: bool,
    tensors: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Check names and shapes of ``weights`` against the model's.

    Args:
        model: The model that is to be filled.
        weights: The file's tensors by name.
        path: The file, for the messages.
        complete: Whether names must be the same on both sides, as for testing. Otherwise a new
            head may stay as it was initialized, and a head for other classes may differ in shape.
            A frozen part may be absent from the file as a whole in either case.
        tensors: The model's tensors by name where ``state_dict()`` does not give the whole ones.

    Raises:
        UserError: Nothing fits, most shapes differ (a checkpoint of another size), a frozen part
            is there in part or of another size, or ``complete`` and something is missing, left
            over or differs.
    """
    while isinstance(model, BaseTTAModel):
        model, tensors = model.module, None
    frozen = _frozen_tensors(model, weights)
    _refuse_unlike_frozen(frozen, weights, path)
    wanted = {**(model.state_dict() if tensors is None else tensors), **frozen}
    shared = wanted.keys() & weights.keys()
    if not shared:
        raise UserError(
            f'{path}: none of its {len(weights)} tensors ({_some(weights)}) is one of '
            f'{type(model).__name__} ({_some(wanted)}): it is of another model'
        )
    differing = [name for name in wanted if name in shared and _differ(wanted, weights, name)]
    if complete:
        _refuse_other_names(wanted, weights, path)
    if differing and (complete or 2 * len(differing) > len(shared)):
        raise UserError(
            f'{path}: {len(differing)} of {len(shared)} tensors differ in shape '
            f'({_shapes(wanted, weights, differing[:3])}): the checkpoint is of another size; '
            'take the config it was trained with'
        )


def _frozen_tensors(model: nn.Module, weights: Mapping) -> dict[str, torch.Tensor]:
    """The tensors of those frozen parts of which the file has something."""
    held = {name.partition('.')[0] for name in weights} & set(getattr(model, 'frozen_parts', ()))
    frozen = model.frozen_state() if held else {}
    return {name: tensor for name, tensor in frozen.items() if name.partition('.')[0] in held}


def _refuse_unlike_frozen(frozen: Mapping, weights: Mapping, path: str) -> None:
    missing = [name for name in frozen if name not in weights]
    if missing:
        raise UserError(
            f'{path}: lacks {len(missing)} tensors of a frozen part ({_some(missing)}) and has '
            'others: take a file that holds the whole of it, or nothing'
        )
    differing = [name for name in frozen if _differ(frozen, weights, name)]
    if differing:
        raise UserError(
            f'{path}: its frozen parts are of another size '
            f'({_shapes(frozen, weights, differing[:3])}): take the config it was trained with'
        )


def _refuse_other_names(wanted: Mapping, weights: Mapping, path: str) -> None:
    missing = [name for name in wanted if name not in weights and _matters(name)]
    if missing:
        raise UserError(
            f'{path}: lacks {len(missing)} tensors of the model ({_some(missing)}): '
            'take the config it was trained with'
        )
    left_over = [name for name in weights if name not in wanted and _matters(name)]
    if left_over:
        raise UserError(
            f'{path}: {len(left_over)} of its tensors have no place in the model '
            f'({_some(left_over)}): take the config it was trained with'
        )


def _matters(name: str) -> bool:
    return not (name.startswith(_FREE_PREFIXES) or name.endswith(_FREE_SUFFIX))


def _differ(wanted: Mapping, weights: Mapping, name: str) -> bool:
    return tuple(wanted[name].shape) != tuple(weights[name].shape)


def _shapes(wanted: Mapping, weights: Mapping, names: list[str]) -> str:
    return '; '.join(
        f'{name} is {tuple(weights[name].shape)}, the model has {tuple(wanted[name].shape)}'
        for name in names
    )


def _some(names: object, most: int = 3) -> str:
    names = list(names)
    return ', '.join(names[:most]) + (', ...' if len(names) > most else '')
