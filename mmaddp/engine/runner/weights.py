"""Whether a checkpoint's weights fit a model, before they are loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseTTAModel
from torch import nn

from mmaddp.checkpoints import WeightRules, check_meta, fit, read_model_checkpoint
from mmaddp.checkpoints.reader import naming
from mmaddp.checkpoints.rules import shortened, under
from mmaddp.engine.resumption import warn_of_other_settings
from mmaddp.utils import UserError

# No test depends on these: the config has the preprocessor's numbers, the rest is for training.
_FREE = (r'data_preprocessor\.', r'auxiliary_head\.', r'.*num_batches_tracked$')
_FREE_RULES = WeightRules(dropped=dict.fromkeys(_FREE, 'no test depends on it'), optional=_FREE)


def load_trained(model: nn.Module, path: str | Path, config: Config) -> dict[str, Any]:
    """Fill a config's model with a checkpoint, all of it, and return what the file says of itself.

    Raises:
        UserError: The file is of another model, or lacks some of its parameters.
    """
    checkpoint = read_model_checkpoint(path, model.state_dict())
    meta, weights = checkpoint['meta'], checkpoint['state_dict']
    check_weights(model, weights, str(path), complete=True, meta=meta)
    with naming(path):
        model.load_state_dict(weights, strict=False)
    warn_of_other_settings(checkpoint['settings'], config)
    return meta


def check_weights(
    model: nn.Module,
    weights: Mapping[str, torch.Tensor],
    path: str,
    complete: bool,
    tensors: Mapping[str, torch.Tensor] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Check names and shapes of ``weights`` against the model's, and what the file says of it.

    Args:
        model: The model that is to be filled.
        weights: The file's tensors by name.
        path: The file, for the messages.
        complete: Whether names must be the same on both sides, as for testing. Otherwise a new
            head may stay as it was initialized, and a head for other classes may differ in shape.
            A frozen part may be absent from the file as a whole in either case.
        tensors: The model's tensors by name where ``state_dict()`` does not give the whole ones.
        meta: What the file says of itself, if anything.

    Raises:
        UserError: Nothing fits, most shapes differ (a checkpoint of another size), the encoder is
            another, a frozen part is there in part or of another size, or ``complete`` and
            something is missing, left over or differs; or the file says that it is of another
            diffusion process.
    """
    while isinstance(model, BaseTTAModel):
        model, tensors = model.module, None
    frozen = _frozen_tensors(model, weights)
    wanted = {**(model.state_dict() if tensors is None else tensors), **frozen}
    shared = {name: tensor for name, tensor in weights.items() if name in wanted}
    differing = [name for name, tensor in shared.items() if tensor.shape != wanted[name].shape]
    with naming(path):
        check_meta(model, {'meta': meta})
        check_adapters(model, weights)
        if not shared:
            raise UserError(
                f'none of its {len(weights)} tensors ({shortened(list(weights), 3)}) is one of '
                f'{type(model).__name__} ({shortened(list(wanted), 3)}): it is of another model'
            )
        if complete:
            check_parts(model, weights, wanted)
            fit(weights, model, adapt=False, rules=_FREE_RULES, wanted=wanted)
        held = {name: tensor for name, tensor in shared.items() if name in frozen}
        fit(held, model, adapt=False, wanted=frozen)
        if 2 * len(differing) > len(shared):
            fit(shared, model, adapt=False, wanted={name: wanted[name] for name in shared})
        check_encoder(model, weights, wanted)


def check_encoder(
    model: nn.Module, weights: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> None:
    """Refuse a file with another encoder, of which the model would take what has its names.

    Raises:
        UserError: Names the encoder, or the settings of the config's.
    """
    encoder, held = getattr(model, 'backbone', None), under(weights, 'backbone.')
    if held and hasattr(encoder, 'weight_rules'):
        fit(held, encoder, adapt=False, wanted=under(wanted, 'backbone.'))


def check_parts(
    model: nn.Module, weights: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> None:
    """Refuse a file that has the encoder, and nothing for other parts of a model.

    Raises:
        UserError: Names the parts.
    """
    held = {name.partition('.')[0] for name in weights}
    needed = {name.partition('.')[0] for name in wanted if not re.match('|'.join(_FREE), name)}
    absent = sorted(needed - held)
    if absent and 'backbone' in held:
        raise UserError(
            f'has no weights for {", ".join(absent)} of the {type(model).__name__}: give the '
            'checkpoint of a training of this config, not an encoder'
        )


def check_adapters(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse a file of adapters for a model without, and an encoder for one with adapters.

    Raises:
        UserError: Names the setting.
    """
    ranks = {len(tensor) for name, tensor in weights.items() if name.endswith('.lora_A')}
    encoders = dict(model.named_modules())
    adapted = [name for name, part in encoders.items() if getattr(part, 'lora', None)]
    if ranks and not adapted:
        raise UserError(
            f'holds low-rank adapters: set model.backbone.lora.rank={ranks.pop()} as in the '
            'training, or merge them: mmaddp merge CONFIG CHECKPOINT OUT'
        )
    for name in adapted:
        with encoders[name].base_alone():
            base = {f'{name}.{key}' for key in encoders[name].state_dict()}
        if base & set(weights):
            # Adapters would be trained over weights that no later run has.
            raise UserError(
                f'holds the weights of the {name}, which lora does not train: name the file in '
                f'model.{name}.init_cfg, or leave lora out'
            )


def _frozen_tensors(model: nn.Module, weights: Mapping) -> dict[str, torch.Tensor]:
    """The tensors of those frozen parts of which the file has something."""
    held = {name.partition('.')[0] for name in weights} & set(getattr(model, 'frozen_parts', ()))
    frozen = model.frozen_state() if held else {}
    return {name: tensor for name, tensor in frozen.items() if name.partition('.')[0] in held}
