"""Export of models for deployment."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmaddp.engine.runs import clear_errors, load_config
from mmaddp.export.files import SUFFIXES, write_network
from mmaddp.export.networks import ExportedNetwork, build_network
from mmaddp.utils import UserError, check_choice

from .prediction import class_names, load_weights


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
        init_default_scope(config.default_scope)
        settings = copy.deepcopy(config.model)
        settings.setdefault('data_preprocessor', config.get('data_preprocessor'))
        model = MODELS.build(settings)
        meta = load_weights(model, str(checkpoint))
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
