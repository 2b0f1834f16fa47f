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


def check_local(path: object) -> None:
    """Refuse the address of a file that is elsewhere.

    Raises:
        UserError: ``path`` has '://' in it.
    """
    if '://' in str(path):
        raise UserError(f'{path}: download it first and give the path of the file')


def check_weights(
    model: nn.Module, weights: Mapping[str, torch.Tensor], path: str, complete: bool
) -> None:
    """Check names and shapes of ``weights`` against the model's.

    Args:
        model: The model that is to be filled.
        weights: The file's tensors by name.
        path: The file, for the messages.
        complete: Whether names must be the same on both sides, as for testing. Otherwise a new
            head may stay as it was initialised, and a head for other classes may differ in shape.

    Raises:
        UserError: Nothing fits, most shapes differ (a checkpoint of another size), or
            ``complete`` and something is missing, left over or differs.
    """
    while isinstance(model, BaseTTAModel):
        model = model.module
    wanted = model.state_dict()
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
