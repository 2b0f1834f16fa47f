"""Export of models for deployment, and merging of adapters."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmaddp.engine.runner.weights import load_trained
from mmaddp.engine.runs import clear_errors, load_config
from mmaddp.export.encoders import LAYOUTS, EncoderFiles, write_encoder
from mmaddp.export.files import SUFFIXES, write_network
from mmaddp.export.networks import ExportedNetwork, build_network
from mmaddp.models import Encoder
from mmaddp.models.backbones import BaseEncoder
from mmaddp.utils import UserError, atomic_write, check_choice

from .prediction import class_names


def export(
    config: str | Path | Config,
    checkpoint: str | Path,
    out: str | Path,
    format: str = 'onnx',
    size: tuple[int, int] | None = None,
) -> Path:
    """Write a detector, segmentor or classifier as one function from pixels to results.

    The function takes RGB images (1, 3, H, W) of float32 in [0, 255] and normalizes them itself.
    Detectors also take ``valid``, height and width without padding; non-maximum suppression is
    inside. The results are those of :class:`mmaddp.export.networks.ClassifierNetwork`,
    ``SegmentorNetwork`` and ``TwoStageDetector``.

    Args:
        config: The model's config, or its path.
        checkpoint: Its weights.
        out: The file, ending in .onnx or .pt2.
        format: 'onnx', or 'torch' for a file of ``torch.export``.
        size: H and W; those of the config's test when None.

    Returns:
        The file.

    Raises:
        UserError: The model cannot be exported, its weights do not fit, or a package is missing.
    """
    check_choice('format', format, tuple(SUFFIXES))
    out = Path(out)
    if out.suffix != SUFFIXES[format]:
        raise UserError(f'{out}: a file of format {format!r} ends in {SUFFIXES[format]}')
    config = config if isinstance(config, Config) else load_config(config)
    with clear_errors(config):
        model, meta = load_merged(config, checkpoint)
        network = build_network(model, config, size)
        check_size(network)
    info = dict(
        task=network.task,
        size=network.size,
        classes=class_names(model, config, meta)['classes'],
        inputs=network.inputs,
        outputs=network.outputs,
        pixels='RGB, float32, 0 to 255',
    )
    write_network(network, out, format, info)
    return out


def check_size(network: ExportedNetwork) -> None:
    """Refuse images that the network does not take, before it is traced."""
    try:
        with torch.no_grad():
            network(*network.examples())
    except RuntimeError as error:
        height, width = network.size
        raise UserError(
            f'images of {height} x {width} pixels: the model does not take them, give another '
            f'--size: {str(error).splitlines()[0]}'
        ) from error


def export_encoder(
    config: str | Path | Config, checkpoint: str | Path, out: str | Path, format: str = 'timm'
) -> EncoderFiles:
    """Write the encoder of any config as a folder that timm or transformers loads.

    Args:
        config: A config of any task with a plain ViT, or its path.
        checkpoint: Any file that :meth:`Loadable.load` reads: of a training here, or a published
            one.
        out: The folder.
        format: 'timm' or 'transformers'.

    Returns:
        What was written.

    Raises:
        UserError: The other library has no such encoder, or the checkpoint does not fit.
    """
    check_choice('format', format, tuple(LAYOUTS))
    config = config if isinstance(config, Config) else load_config(config)
    with clear_errors(config):
        encoder = load_encoder(config, checkpoint)
        given = config.model.get('data_preprocessor') or config.get('data_preprocessor') or {}
        pixels = given if given.get('mean') else encoder.pixel_values
        return write_encoder(encoder, Path(out), format, pixels)


def load_encoder(config: Config, checkpoint: str | Path) -> BaseEncoder:
    """The encoder of a config with the weights of a file, adapters merged."""
    backbone = config.get('model', {}).get('backbone') or {}
    if backbone.get('lora'):
        return load_merged(config, checkpoint)[0].backbone
    model = build_model(config)
    encoder = getattr(model, 'encoder_module', None) or model.backbone
    # Only plain ViTs have one inside.
    encoder = encoder.network if isinstance(encoder, Encoder) else encoder
    if not isinstance(encoder, BaseEncoder):
        raise UserError(f'{config.filename}: the encoder is not one of this package')
    encoder.load(checkpoint)
    return encoder.eval()


def merge(config: str | Path | Config, checkpoint: str | Path, out: str | Path) -> Path:
    """Merge the low-rank adapters of a checkpoint into the weights of its encoder.

    Args:
        config: The config of the training, or its path, with the encoder's ``lora``.
        checkpoint: A checkpoint of that training.
        out: A checkpoint for the same config without ``lora``.

    Returns:
        The file.

    Raises:
        UserError: The config has no adapters, or the checkpoint does not fit it.
    """
    config = config if isinstance(config, Config) else load_config(config)
    backbone = config.get('model', {}).get('backbone', {})
    if not backbone.get('lora'):
        raise UserError(f'{config.filename}: model.backbone has no lora: there is nothing to merge')
    with clear_errors(config):
        model, meta = load_merged(config, checkpoint)
    merged = copy.deepcopy(config)
    merged.model.backbone.lora = None
    with atomic_write(Path(out)) as temporary:
        whole = {'meta': {**meta, 'cfg': merged.pretty_text}, 'state_dict': model.state_dict()}
        torch.save(whole, temporary)
    return Path(out)


def load_merged(config: Config, checkpoint: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """A config's model with the weights of a checkpoint, adapters merged, and the file's meta."""
    model = build_model(config)
    meta = load_trained(model, checkpoint, config)
    for part in model.modules():
        if getattr(part, 'lora', None):
            part.merge_lora()
    return model, meta


def build_model(config: Config) -> nn.Module:
    """A config's model with random weights."""
    init_default_scope(config.default_scope)
    settings = copy.deepcopy(config.model)
    settings.setdefault('data_preprocessor', config.get('data_preprocessor'))
    return MODELS.build(settings)
