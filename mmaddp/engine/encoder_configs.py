"""Necks and heads made to fit the encoder of a config, whatever it is."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config, ConfigDict

from mmaddp.models.backbones.libraries import find_library
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from .best_cell import AUTO, scales_of, short_name

NUM_LEVELS = 5
DEPTHS = 4


def fit_to_encoder(config: Config) -> None:
    """Complete a model whose backbone is :class:`mmaddp.models.Encoder`.

    A neck of the type 'auto' becomes the simple feature pyramid of a plain encoder, and the FPN of
    a hierarchical one; under a decode head, maps of four depths of a plain encoder are resized.
    Where ``in_channels`` is None, and where the data preprocessor has no ``mean``, the encoder's
    own are set. Other backbones and settings stay as they are.

    Args:
        config: The whole config, changed in place.
    """
    model = config.get('model') or {}
    backbone = model.get('backbone')
    if not isinstance(backbone, dict) or short_name(backbone.get('type')) != 'Encoder':
        return
    encoder = build_without_weights(backbone)
    if 'decode_head' in model and backbone.get('out_indices') is None:
        spread_depths(backbone, encoder)
    maps = [(encoder.channels(layer), encoder.stride(layer)) for layer in encoder.out_layers]
    set_pixels(model, encoder.pixel_values)
    if 'decode_head' in model:
        fit_segmentor(model, maps, encoder.is_plain)
    elif (model.get('neck') or {}).get('type') == AUTO:
        fit_detector(model, maps, encoder.is_plain)
    for part in ('neck', 'head'):
        if 'in_channels' in (model.get(part) or {}) and model[part]['in_channels'] is None:
            model[part].in_channels = maps[-1][0]


def build_without_weights(backbone: dict) -> Any:
    """The encoder on the meta device, as a source of its sizes."""
    # Imports its library, which must not happen on that device.
    MODELS.get(backbone['type'])
    find_library(backbone['model'])
    with torch.device('meta'):
        return MODELS.build({**backbone, 'init_cfg': None})


def spread_depths(backbone: ConfigDict, encoder: Any) -> None:
    """Have a plain encoder give maps of four depths, evenly spaced."""
    count = len(encoder.layers)
    if encoder.is_plain and count >= DEPTHS:
        indices = [count * (part + 1) // DEPTHS - 1 for part in range(DEPTHS)]
        backbone.out_indices = encoder.out_indices = indices


def set_pixels(model: ConfigDict, pixel_values: dict) -> None:
    """Normalize pixels as the encoder expects them, unless the config says how."""
    preprocessor = model.setdefault('data_preprocessor', ConfigDict())
    if preprocessor.get('mean') is None:
        preprocessor.update(mean=pixel_values['mean'], std=pixel_values['std'])


def fit_segmentor(model: ConfigDict, maps: list[tuple[int, int]], plain: bool) -> None:
    """Set neck and heads for the maps, (channels, stride) each."""
    neck = model.get('neck') or {}
    if neck.get('type') == AUTO:
        width, stride = maps[-1]
        rescales = [4, 2, 1, 0.5]
        if plain and len(maps) == len(rescales):
            neck.update(type='Feature2Pyramid', embed_dim=width, rescales=rescales)
        elif len(maps) == 1:  # such as that of a probe's best layer
            pyramid = simple_pyramid(width, stride)
            model.neck, maps = ConfigDict(pyramid, out_channels=width, num_outs=4), 4 * maps
        else:
            model.neck = None
    channels, indices = [width for width, _ in maps], list(range(len(maps)))
    if model.decode_head.get('in_channels') is None:
        model.decode_head.update(in_channels=channels, in_index=indices)
    if 'embed_dims' in model.decode_head and model.decode_head.embed_dims is None:
        model.decode_head.embed_dims = widths_for_dpt(channels, plain)
    auxiliary = model.get('auxiliary_head')
    if auxiliary and auxiliary.get('in_channels') is None:
        index = min(auxiliary.get('in_index', 2), indices[-1])
        auxiliary.update(in_channels=channels[index], in_index=index)


def widths_for_dpt(channels: list[int], plain: bool) -> int | list[int]:
    """``embed_dims`` of DPT: one width of a plain encoder, or those of a hierarchical one.

    Raises:
        UserError: The encoder does not give four maps.
    """
    if len(channels) != DEPTHS:
        raise UserError(
            f'DPT takes {DEPTHS} maps and the encoder gives {len(channels)}: set '
            'model.backbone.out_indices, or take a config of a linear head'
        )
    return channels[-1] if plain else channels


def fit_detector(model: ConfigDict, maps: list[tuple[int, int]], plain: bool) -> None:
    """Set the neck, and the strides of its levels in anchors and RoI extractors."""
    width, stride = maps[-1]
    if plain or len(maps) == 1:
        model.neck.update(simple_pyramid(width, stride))
        strides = [stride / scale for scale in model.neck.scale_factors]
        strides.append(2 * strides[-1])
    else:
        strides = [stride for _, stride in maps]
        strides += [strides[-1] * 2**n for n in range(1, max(1, NUM_LEVELS - len(maps)) + 1)]
        model.neck.update(
            type='FPN', in_channels=[width for width, _ in maps], num_outs=len(strides)
        )
    strides = [int(stride) if stride == int(stride) else stride for stride in strides]
    for part in parts_with_strides(model):
        key = 'strides' if 'strides' in part else 'featmap_strides'
        # RoIs take all levels but the coarsest.
        part[key] = strides if key == 'strides' else strides[:-1]


def simple_pyramid(width: int, stride: int) -> dict[str, Any]:
    """The config of ViTDet's simple feature pyramid, which is built from one map."""
    kind = 'mmaddp.SimpleFeaturePyramid'
    return dict(type=kind, in_channels=width, scale_factors=scales_of(stride))


def parts_with_strides(value: Any) -> list[ConfigDict]:
    """All parts of a detector that know the strides of the neck's levels."""
    if isinstance(value, (list, tuple)):
        return [part for item in value for part in parts_with_strides(item)]
    if not isinstance(value, dict):
        return []
    own = [value] if {'strides', 'featmap_strides'} & set(value) else []
    return own + [part for item in value.values() for part in parts_with_strides(item)]
