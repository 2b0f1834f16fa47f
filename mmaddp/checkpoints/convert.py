"""From a checkpoint as loaded to a state dict in this package's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmaddp.utils import UserError

from .engine import Conversion, apply_rules, shortened
from .rules import TARGETS, Source
from .sources import SOURCES

# DiT's training files have the moving average of the weights beside the last ones.
NESTS = ('ema', 'model', 'state_dict')
# What DDAE's authors save side by side; each tensor's name tells which it is of.
STATES = ('EMA', 'MODEL')


def convert_checkpoint(
    checkpoint: Mapping[str, Any], source: str = 'auto', target: str = 'backbone'
) -> dict[str, Tensor]:
    """Convert a published checkpoint into the names of this package.

    Args:
        checkpoint: A state dict of tensors or NumPy arrays, or a mapping that holds one under
            'ema', 'model' or 'state_dict', the first that is there. A 'module.' before every name
            is dropped.
        source: One of :data:`SOURCES`, or 'auto' to tell by the keys.
        target: 'backbone' (the encoder for fine-tuning, no norms after embeddings and last block),
            'detector' (MMDetection's MaskRCNN or CascadeRCNN with our backbone and neck),
            'pretrain' (encoder, decoder, tokenizer and token predictor, as far as there), one of
            'tokenizer', 'token_predictor' and 'decoder' alone, or 'official' (the layout of
            ADDP's authors).

    Returns:
        Names and tensors, ready for a strict ``load_state_dict``.

    Raises:
        UserError: The layout is unknown, the target cannot be made from it, or a tensor is
            missing, left over or of the wrong shape; the message lists all of them.
    """
    return convert_with_summary(checkpoint, source, target)[1].state_dict


def convert_with_summary(
    checkpoint: Mapping[str, Any], source: str, target: str, keep_on_request: bool = False
) -> tuple[Source, Conversion]:
    """Like :func:`convert_checkpoint`; also the layout, and what became of every tensor."""
    if target not in TARGETS:
        raise UserError(f"target '{target}' is none of {', '.join(TARGETS)}")
    tensors = unwrap(checkpoint)
    layout = find_source(checkpoint, tensors) if source == 'auto' else named_source(source)
    if target not in layout.tables:
        raise UserError(f"'{target}' cannot be made from '{layout.name}'; {possible_pairs()}")
    try:
        rules = layout.tables[target](tensors)
        added = layout.added.get(target, ())
        return layout, apply_rules(tensors, rules, keep_on_request, added)
    except UserError as error:
        raise UserError(
            f"does not convert from '{layout.name}' to '{target}'"
            f'{better_source(layout, checkpoint, tensors)}: {error}'
        ) from None


def unwrap(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint, out of their nests and without 'module.'.

    Raises:
        UserError: There are none, or something else stands among them.
    """
    if not isinstance(checkpoint, Mapping):
        raise UserError(f'a checkpoint is a mapping of names to tensors, not {kind(checkpoint)}')
    for nest in NESTS:
        if isinstance(checkpoint.get(nest), Mapping):
            return unwrap(checkpoint[nest])
    states = [name for name in STATES if isinstance(checkpoint.get(name), Mapping)]
    if states:
        return {f'{name}.{k}': v for name in states for k, v in unwrap(checkpoint[name]).items()}
    others = [str(key) for key, value in checkpoint.items() if not is_array(value)]
    if others or not checkpoint:
        raise UserError(
            'holds no state dict: neither tensors alone nor a mapping under '
            f'{" or ".join(map(repr, NESTS))} (its keys: {shortened([*map(str, checkpoint)])})'
        )
    prefix = 'module.' if all(str(key).startswith('module.') for key in checkpoint) else ''
    return {str(key)[len(prefix) :]: as_tensor(value) for key, value in checkpoint.items()}


def is_array(value: object) -> bool:
    """Whether ``value`` is a tensor or a NumPy array of numbers."""
    return isinstance(value, Tensor) or (
        isinstance(value, np.ndarray) and value.dtype.kind in 'fiub'
    )


def as_tensor(value: Tensor | np.ndarray) -> Tensor:
    """A tensor without history; arrays in the machine's own byte order."""
    if isinstance(value, Tensor):
        return value.detach()
    return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder('=')))


def kind(value: object) -> str:
    """The type of ``value``, for messages."""
    return type(value).__name__


def named_source(name: str) -> Source:
    """The layout called ``name``."""
    if name not in SOURCES:
        raise UserError(f"source '{name}' is none of auto, {', '.join(SOURCES)}")
    return SOURCES[name]


def recognize_source(checkpoint: Mapping[str, Any]) -> str | None:
    """Name of the layout that a checkpoint is in, told by its keys; None when it fits none."""
    return recognize(checkpoint, unwrap(checkpoint))


def recognize(checkpoint: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str | None:
    """Name of the layout; a file that we have written says so itself."""
    if own_meta(checkpoint).get('target', 'official') != 'official':
        return 'mmaddp'
    names = [source.name for source in SOURCES.values() if source.recognize(tensors)]
    return names[0] if len(names) == 1 else None


def own_meta(checkpoint: Mapping[str, Any]) -> dict:
    """What :func:`mmaddp.checkpoints.convert_file` noted in the file; empty for other files."""
    meta = checkpoint.get('meta')
    own = meta.get('mmaddp') if isinstance(meta, Mapping) else None
    return dict(own) if isinstance(own, Mapping) else {}


def find_source(checkpoint: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Source:
    """The layout told by the keys; an error says what each known one would have."""
    name = recognize(checkpoint, tensors)
    if name is None:
        known = '; '.join(f'{source.name} has {source.looks_like}' for source in SOURCES.values())
        raise UserError(
            f'its layout is unknown: {known}; this has {shortened(list(tensors))}. '
            'Name the layout with --source if it should fit one of them'
        )
    return SOURCES[name]


def better_source(
    layout: Source, checkpoint: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> str:
    """A hint where the keys look like another layout than the one that was named."""
    name = recognize(checkpoint, tensors)
    return '' if name in (None, layout.name) else f" (its keys look like '{name}')"


def possible_pairs() -> str:
    """Every source with the targets that it can give."""
    pairs = (f'{source.name} gives {" or ".join(source.tables)}' for source in SOURCES.values())
    return 'possible: ' + ', '.join(pairs)
