"""Models out of a config and a checkpoint."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Union

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from mmaddp.checkpoints import convert_checkpoint, read_checkpoint
from mmaddp.checkpoints.convert import unwrap
from mmaddp.engine.explain import clear_errors
from mmaddp.engine.runner.weights import check_weights
from mmaddp.engine.setup import load_config
from mmaddp.models import ADDP, DARL, DDAE, NoiseConditionalClassifier
from mmaddp.utils import UserError

# What a checkpoint of each method's training holds at the least.
PARTS = {
    ADDP: ('encoder.', 'decoder.'),
    DARL: ('backbone.', 'patch_decoder.'),
    DDAE: ('network.',),
    NoiseConditionalClassifier: ('pretrainer.', 'head.'),
}
Pretrainer = Union[ADDP, DARL, DDAE, NoiseConditionalClassifier]


def load_pretrainer(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
) -> Pretrainer:
    """Build the model of a pre-training config with its weights, ready to generate.

    Args:
        config: A config of ``configs/pretrain`` or of a noise-conditional classifier, or its path.
        checkpoint: A checkpoint of its training; for ADDP also any file that converts to the target
            'pretrain', for DDAE any file or folder that converts to 'backbone', a whole network.
            None takes what the ``init_cfg`` of the model and of its parts name; what they do not
            name stays random.
        device: Where the model goes; the GPU where there is one when None.

    Returns:
        The model in evaluation mode, the config as its ``cfg``. A frozen part that the checkpoint
        lacks is filled by its own ``init_cfg``.

    Raises:
        UserError: The config or the checkpoint cannot be used, they do not fit each other, or
            neither has the weights of a frozen part.
    """
    config = config if isinstance(config, Config) else load_config(config)
    with clear_errors():
        model = build_pretrainer(config)
        weights = {} if checkpoint is None else read_pretraining_weights(model, checkpoint)
        unfilled = [
            part
            for part in model.frozen_parts
            if not any(name.startswith(f'{part}.') for name in weights)
        ]
        check_sources(model, unfilled, checkpoint)
        if checkpoint is None:
            model.init_weights()
        else:
            load_weights(model, weights, str(checkpoint))
            for part in unfilled:
                model.get_submodule(part).init_weights()
    model.cfg = config  # as OpenMMLab's own inits leave it
    return model.to(device or get_device()).eval()


def build_pretrainer(config: Config) -> Pretrainer:
    """The config's model as it is built, without weights.

    Raises:
        UserError: The config has no model, or one that does not generate.
    """
    init_default_scope(config.get('default_scope') or 'mmaddp')
    # Building writes defaults into its config, which may be needed as it is.
    settings = copy.deepcopy(config.get('model') or {})
    if config.get('data_preprocessor') is not None:
        settings.setdefault('data_preprocessor', config.data_preprocessor)
    model = MODELS.build(settings) if settings else None
    if not isinstance(model, tuple(PARTS)):
        raise UserError(
            f'{config.filename}: model.type={settings.get("type")} does not generate images: '
            'take a config of configs/pretrain/addp, configs/pretrain/darl or configs/pretrain/ddae'
        )
    return model


def read_pretraining_weights(model: Pretrainer, path: str | Path) -> dict[str, Tensor]:
    """The tensors of a pre-training checkpoint of ours or of a published file, in our names.

    Where a training keeps a moving average, as DDAE's do, it is what is returned.

    Raises:
        UserError: The file cannot be read or converted.
    """
    checkpoint = read_checkpoint(path)
    parts = next(parts for method, parts in PARTS.items() if isinstance(model, method))
    try:
        tensors = unwrap(checkpoint)
        if all(any(name.startswith(part) for name in tensors) for part in parts):
            return tensors
        if isinstance(model, ADDP):
            return convert_checkpoint(checkpoint, target='pretrain')
        if isinstance(model, DDAE):
            network = convert_checkpoint(checkpoint, target='backbone')
            return {f'network.{name}': tensor for name, tensor in network.items()}
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    raise UserError(
        f'{path}: has not both {" and ".join(part + "*" for part in parts)}: give a checkpoint of '
        f'the training of this {type(model).__name__}; nobody has published one in another layout'
    )


def check_sources(model: Pretrainer, unfilled: list[str], checkpoint: str | Path | None) -> None:
    """Refuse frozen parts that nothing would fill."""
    for part in unfilled:
        if not model.get_submodule(part).init_cfg:
            optional = ', or model.token_predictor=None to generate without it'
            raise UserError(
                f'{checkpoint or "no checkpoint is given"}: nothing has the weights of the {part}: '
                f"set model.{part}.init_cfg=dict(type='Pretrained', checkpoint=…)"
                f'{optional if part == "token_predictor" else ""}'
            )


def load_weights(model: Pretrainer, weights: dict[str, Tensor], path: str) -> None:
    """Load all that learns, and the frozen parts that the file holds; strictly, in both.

    Raises:
        UserError: The tensors do not fit the model.
    """
    own = {k: v for k, v in weights.items() if not k.startswith(('tokenizer.', 'token_predictor.'))}
    check_weights(model, own, path, complete=True)
    model.load_state_dict(own, strict=False)
    for part in model.frozen_parts:
        prefix = f'{part}.'
        held = {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}
        if held:
            check_weights(model.get_submodule(part), held, path, complete=True)
            model.get_submodule(part).load_state_dict(held)
