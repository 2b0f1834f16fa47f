"""Whether a checkpoint's weights fit a model, before they are loaded."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine.model import BaseTTAModel
from torch import nn

from mmaddp.utils import UserError


def check_weights(
    model: nn.Module, weights: Mapping[str, torch.Tensor], path: str, complete: bool
) -> None:
    """Check names and shapes of ``weights`` against the model's.

    Args:
        model: The model that is to be filled.
        weights: The file's tensors by name.
        path: The file, for the messages.
        complete: Whether each parameter must be filled, as for testing. Otherwise a new head may
            stay as it was initialised, and a head for other classes may differ in shape.

    Raises:
        UserError: Nothing fits, most shapes differ (a checkpoint of another size), or
            ``complete`` and something is missing or differs.
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
        missing = [name for name, _ in model.named_parameters() if name not in shared]
        _refuse_incomplete(path, missing)
    if differing and (complete or 2 * len(differing) > len(shared)):
        raise UserError(
            f'{path}: {len(differing)} of {len(shared)} tensors differ in shape '
            f'({_shapes(wanted, weights, differing[:3])}): the checkpoint is of another size; '
            'take the config it was trained with'
        )


def _refuse_incomplete(path: str, missing: list[str]) -> None:
    if missing:
        raise UserError(
            f'{path}: lacks {len(missing)} of the parameters ({_some(missing)}): '
            'take the config it was trained with'
        )


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
