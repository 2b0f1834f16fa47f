"""Models from a config and a checkpoint."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from mmaddp.engine.runner.weights import check_weights
from mmaddp.engine.runs import clear_errors, load_config
from mmaddp.models.pretrainers import ImageGenerator
from mmaddp.utils import UserError


def load_pretrainer(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
) -> ImageGenerator:
    """Build the model of a pre-training config with its weights, ready to generate.

    Args:
        config: A config of ``configs/pretrain`` or of a noise-conditional classifier, or its path.
        checkpoint: A checkpoint of its training, or a published file or folder that
            :meth:`ImageGenerator.read_weights` converts. None loads the files in the ``init_cfg``
            of the model and its parts; the rest stays random.
        device: Device of the model; the GPU if available when None.

    Returns:
        The model in evaluation mode, with the config as ``cfg``. Frozen parts that the checkpoint
        lacks are loaded by their own ``init_cfg``.

    Raises:
        UserError: The config does not generate, the checkpoint does not fit it, or neither has
            the weights of a frozen part.
    """
    config = config if isinstance(config, Config) else load_config(config)
    with clear_errors():
        model = build_pretrainer(config)
        weights = {} if checkpoint is None else model.read_weights(checkpoint)
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


def build_pretrainer(config: Config) -> ImageGenerator:
    """Build the config's model without loading weights.

    Raises:
        UserError: The model does not generate images.
    """
    init_default_scope(config.get('default_scope') or 'mmaddp')
    # Building writes defaults into the config.
    settings = copy.deepcopy(config.get('model') or {})
    if config.get('data_preprocessor') is not None:
        settings.setdefault('data_preprocessor', config.data_preprocessor)
    model = MODELS.build(settings) if settings else None
    if not isinstance(model, ImageGenerator):
        raise UserError(
            f'{config.filename}: model.type={settings.get("type")} does not generate images: '
            'take a config of configs/pretrain'
        )
    return model


def check_sources(
    model: ImageGenerator, unfilled: list[str], checkpoint: str | Path | None
) -> None:
    """Refuse frozen parts that would stay random."""
    for part in unfilled:
        if not model.get_submodule(part).init_cfg:
            optional = f', or model.{part}=None to generate without it'
            raise UserError(
                f'{checkpoint or "no checkpoint is given"}: nothing has the weights of the {part}: '
                f"set model.{part}.init_cfg=dict(type='Pretrained', checkpoint=…)"
                f'{optional if part in model.training_parts else ""}'
            )


def load_weights(model: ImageGenerator, weights: dict[str, Tensor], path: str) -> None:
    """Load weights strictly, except parts that the model omits.

    Raises:
        UserError: The tensors do not fit the model.
    """
    absent = [part for part in model.training_parts if getattr(model, part) is None]
    weights = {name: v for name, v in weights.items() if name.partition('.')[0] not in absent}
    check_weights(model, weights, path, complete=True)
    model.load_state_dict(weights)
