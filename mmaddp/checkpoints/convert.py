"""From a checkpoint as loaded to tensors in our names that fit a module."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaddp.utils import UserError, check_choice

from .judge import (
    INITIALIZED,
    Fit,
    WeightRules,
    build_heads,
    complain,
    default_module,
    fit,
    in_config,
    module_of,
    nested,
)
from .reader import naming, read_checkpoint
from .rules import (
    PARTS,
    Part,
    Renamed,
    Source,
    Tensors,
    rename,
    shortened,
    under,
)
from .sources import SOURCES
from .sources.mmaddp import ENCODERS
from .weights import Weights, find_weights

# Where a checkpoint says of its model what no tensor tells.
MODEL = 'model'


@dataclass(frozen=True)
class Conversion:
    """Converted tensors.

    Attributes:
        source: Layout of the file.
        state_dict: Names and tensors.
        parts: What became of every tensor of the file.
        notes: Lines that the user should read.
    """

    source: str
    state_dict: dict[str, Tensor]
    parts: list[Part]
    notes: list[str] = field(default_factory=list)


def convert_checkpoint(
    checkpoint: Mapping[str, Any],
    source: str = 'auto',
    target: str = 'backbone',
    prefix: str | None = None,
) -> dict[str, Tensor]:
    """Convert a published checkpoint into the names of this package.

    Args:
        checkpoint: Tensors or NumPy arrays under their names, with any wrappers and nests around
            them; see :func:`mmaddp.checkpoints.weights.find_weights`.
        source: One of :data:`SOURCES`, or 'auto' to tell by the names.
        target: 'backbone' (the encoder for fine-tuning, no norms after embeddings and last block),
            'detector' (MMDetection's MaskRCNN or CascadeRCNN with our backbone and neck),
            'pretrain' (all parts of a pre-training that are there), one of 'tokenizer',
            'token_predictor' and 'decoder' alone, or 'official' (the layout of ADDP's authors).
        prefix: Where in the checkpoint the weights are, such as 'student'. By default a moving
            average comes before the weights of the last step.

    Returns:
        Names and tensors, ready for a strict ``load_state_dict``.

    Raises:
        UserError: The layout is unknown, the target cannot be made from it, or a tensor is missing,
            left over or of the wrong shape; the message lists all of them.
    """
    return convert(checkpoint, source, target, prefix=prefix).state_dict


def convert(
    checkpoint: Mapping[str, Any],
    source: str = 'auto',
    target: str = 'backbone',
    module: nn.Module | None = None,
    prefix: str | None = None,
) -> Conversion:
    """Like :func:`convert_checkpoint`, with the layout and what became of every tensor.

    Args:
        checkpoint: As there.
        source: As there.
        target: As there.
        module: A module that the tensors must fit, its ``weight_rules`` applied.
        prefix: As there.
    """
    if source != 'auto':
        check_choice('source', source, ('auto', *SOURCES))
    weights = weights_of(checkpoint, prefix, source)
    # Without the adapters the weights would load, but the encoder would compute something else.
    if any(name.endswith('.lora_A') for name in weights.tensors):
        raise UserError(
            'holds low-rank adapters, not an encoder: merge them first by '
            'mmaddp merge CONFIG CHECKPOINT OUT'
        )
    layout = find_source(checkpoint, weights.tensors, source)
    if target not in layout.tables:
        pairs = (f'{name} gives {" or ".join(other.tables)}' for name, other in SOURCES.items())
        raise UserError(
            f"'{target}' cannot be made from '{layout.name}'; possible: {', '.join(pairs)}"
        )
    conversion = convert_weights(checkpoint, weights.tensors, layout, target, module)
    # The summary also accounts for what lies beside the weights, such as the last step's.
    notes = [note for note in (weights.note, not_finite(conversion.state_dict)) if note]
    return replace(conversion, parts=[*conversion.parts, *weights.skipped], notes=notes)


def convert_weights(
    checkpoint: Mapping[str, Any],
    tensors: Tensors,
    layout: Source,
    target: str,
    module: nn.Module | None,
) -> Conversion:
    """Convert tensors; an error without a module names the layout that their names look like."""
    if module is not None:
        return _convert(tensors, layout, target, module)
    try:
        return _convert(tensors, layout, target)
    except UserError as error:
        # The layout that was asked for may be the wrong one.
        found = recognize(checkpoint, tensors)
        hint = '' if found in (None, layout) else f" (its keys look like '{found.name}')"
        raise UserError(
            f"does not convert from '{layout.name}' to '{target}'{hint}: {error}"
        ) from None


def not_finite(state_dict: Tensors) -> str:
    """One line about NaN and infinite weights; '' if there are none."""
    broken = [
        name
        for name, tensor in state_dict.items()
        if tensor.is_floating_point() and not tensor.is_meta and not tensor.isfinite().all()
    ]
    if not broken:
        return ''
    return (
        f'NaN or infinite values in {len(broken)} of {len(state_dict)} tensors '
        f'({shortened(broken, 2)}): the training that wrote them had diverged'
    )


def read_part(path: str | Path, part: str) -> dict[str, Tensor]:
    """Read one part of a pre-training from any file that holds it.

    Args:
        path: A published file, one written here, or a checkpoint of a training run.
        part: 'tokenizer', 'token_predictor' or 'decoder'.

    Returns:
        Tensors under the names of the part's module.

    Raises:
        UserError: The file cannot be read, or has no such part. Names both.
    """
    checkpoint = read_checkpoint(path)
    with naming(path):
        return convert_checkpoint(checkpoint, target=part)


def read_model_checkpoint(path: str | Path, model_names: Collection[str] = ()) -> dict[str, Any]:
    """Read a checkpoint for a whole model, converting a published one on the way.

    Args:
        path: A detector of detectron2 (.pkl or .pth), which becomes MMDetection's, a file of
            ADDP's authors for a pre-training, or a file of this package or of OpenMMLab, whose
            names stay as they are.
        model_names: The tensors of the model to fill, which tell what the file becomes.

    Returns:
        ``{'state_dict': names and tensors on the CPU, 'meta': what the file says of itself,
        'settings': those of its training}``, the last two empty where the file says nothing.

    Raises:
        UserError: The file cannot be read or converted, or holds no whole model.
    """
    checkpoint = read_checkpoint(path)
    with naming(path):
        tensors = whole_model(checkpoint, model_names)
    told = {key: checkpoint.get(key) for key in ('meta', 'settings')}
    told = {key: dict(value) if isinstance(value, Mapping) else {} for key, value in told.items()}
    return {'state_dict': tensors, **told}


def whole_model(checkpoint: Mapping[str, Any], model_names: Collection[str]) -> Tensors:
    """The tensors of a whole model, in our names.

    Raises:
        UserError: The file holds one part only.
    """
    tensors = model_weights(checkpoint, model_names)
    source = recognize(checkpoint, tensors)
    if source and source.whole:
        target, mark = source.whole
        # Without its mark the model is another one, such as an encoder with a new head.
        if not mark or mark in model_names:
            return _convert(tensors, source, target, wanted=model_names).state_dict
    held = own_meta(checkpoint).get('target')
    # The mark of our own files says it best; other files only their names.
    held = source.holds if held in (None, 'official') and source else held
    if held in ('backbone', *PARTS):
        part = 'an encoder' if held == 'backbone' else f'a {held}'
        raise UserError(
            f'holds {part}, not a whole model; name it in the {held}: '
            "init_cfg=dict(type='Pretrained', checkpoint=…)"
        )
    return tensors


def model_weights(checkpoint: Mapping[str, Any], model_names: Collection[str]) -> Tensors:
    """The weights of a checkpoint whose names are those of a model, else those of a known layout.

    Names are also compared as they are in the file, since a model may have a child called 'module'.
    """
    names = {*model_names}
    # Once as the file is, and once with the nest that has the model's own names.
    found = [
        find_weights(checkpoint, recognized).tensors
        for recognized in (lambda tensors: False, lambda tensors: not names.isdisjoint(tensors))
    ]
    best = max(found, key=lambda tensors: len(names.intersection(tensors)))
    return weights_of(checkpoint).tensors if names.isdisjoint(best) else best


def _convert(
    tensors: Tensors,
    source: Source,
    target: str,
    module: nn.Module | None = None,
    wanted: Collection[str] = (),
) -> Conversion:
    """Rename a file's tensors and fit them to a module: the given one, or the one they are of.

    Args:
        tensors: The file's.
        source: Its layout.
        target: What to make of it.
        module: The module to fit; without one it is built from the sizes that the file has.
        wanted: Names that are kept although a rule would drop them.
    """
    renamed = rename(tensors, source.table(target, tensors))
    if target == 'official':
        # No module here has the authors' names, so the weights are judged under ours.
        judged(rename(tensors, source.table('pretrain', tensors)), source, 'pretrain')
        fitted = Fit(renamed.state, dict.fromkeys(renamed.state, 'kept'))
        complain(renamed, (), (), ())
    elif module is not None:
        fitted = fit(renamed.state, module, renamed=renamed)
    else:
        fitted = judged(renamed, source, target, wanted)
    state, parts = fitted.state_dict, renamed.summary(fitted.fates)
    # What the module keeps of its own is told too, so that nobody takes it for the file's.
    own = {name: state[name] for name, fate in fitted.fates.items() if fate == INITIALIZED}
    for part in dict.fromkeys(name.partition('.')[0] for name in own):
        sizes = [tensor.numel() for name, tensor in own.items() if name.partition('.')[0] == part]
        parts.append(Part(part, len(sizes), sum(sizes), INITIALIZED))
    for name, tensor, part, fate in source.added(tensors) if target == 'official' else ():
        state[name] = tensor
        parts.append(Part(part, 1, tensor.numel(), fate))
    return Conversion(source.name, state, parts)


def judged(renamed: Renamed, source: Source, target: str, wanted: Collection[str] = ()) -> Fit:
    """Fit a file's tensors to modules of the sizes that the file has.

    Tensors of no known module, such as the heads of a trained model, are kept.
    """
    modules = described(renamed.state, source, target)
    # Without a path, the module is the whole file.
    inside = tuple(f'{path}.' if path else '' for path in modules)
    known = {name: t for name, t in renamed.state.items() if name.startswith(inside)}
    module = modules[''] if '' in modules else nested(modules)
    fitted = fit(known, module, keep_sizes=True, renamed=renamed)
    for name, tensor in renamed.state.items():
        if name not in known:
            # A tensor that a rule may drop is kept if the model to fill has a place for it.
            why = renamed.spare.get(name) if name not in wanted else None
            fitted.fates[name] = f'dropped: {why}' if why else 'kept'
            if not why:
                fitted.state_dict[name] = tensor
    return fitted


def described(state: Tensors, source: Source, target: str) -> dict[str, nn.Module]:
    """The modules that have these weights, on the meta device, by their paths."""
    if target in PARTS:
        return {'': module_of(state, target) or default_module(target)}
    if target == 'backbone':
        module = module_of(state, target, for_transfer=True)
        if module is None and not source.any_network:
            raise UserError('it holds no encoder of this package')
        return {} if module is None else {'': module}
    # A pre-training holds several parts. Its encoder may stand under any of these names.
    paths = {**dict.fromkeys((p[:-1] for p in ENCODERS if p), 'backbone'), **{p: p for p in PARTS}}
    modules = {
        path: module_of(under(state, f'{path}.'), part)
        for path, part in paths.items()
        if any(name.startswith(f'{path}.') for name in state)
    }
    # The heads are MMDetection's, which cannot tell their arguments from weights.
    if source.heads:
        modules.update(build_heads(source.heads(state)))
    modules = {path: module for path, module in modules.items() if module is not None}
    check_agreement(modules)
    return modules


def check_agreement(modules: Mapping[str, nn.Module]) -> None:
    """Refuse parts of one model that were made for different images or codebooks."""
    # Each part would load, and the first step would fail, or compare codes of two codebooks.
    for name in ('num_embeddings', 'num_patches'):
        settings = {
            path: module.settings_from(module.state_dict()).get(name)
            for path, module in modules.items()
            if path in PARTS
        }
        told = {path: value for path, value in settings.items() if value is not None}
        if len(set(told.values())) > 1:
            values = ', '.join(f'{path} has {name}={value}' for path, value in told.items())
            raise UserError(f'its parts do not fit each other: {values}')


def recognize_source(checkpoint: Mapping[str, Any]) -> str | None:
    """Name of the layout that a checkpoint is in; None when it fits none."""
    source = recognize(checkpoint, weights_of(checkpoint).tensors)
    return source.name if source else None


def weights_of(
    checkpoint: Mapping[str, Any], prefix: str | None = None, source: str = 'auto'
) -> Weights:
    """The weights of a checkpoint that are in a known layout, else the first ones."""

    def recognized(tensors: Tensors) -> bool:
        if source != 'auto':
            return SOURCES[source].recognize(tensors)
        return recognize(checkpoint, tensors) is not None

    return find_weights(checkpoint, recognized, prefix)


def recognize(checkpoint: Mapping[str, Any], tensors: Tensors) -> Source | None:
    """The layout of a file: our own files name it, the names of others tell it."""
    if own_meta(checkpoint).get('target', 'official') != 'official':
        return SOURCES['mmaddp']
    return next((source for source in SOURCES.values() if source.recognize(tensors)), None)


def own_meta(checkpoint: Mapping[str, Any]) -> dict:
    """What this package noted in the file: that of :func:`convert_file`, and :func:`meta_of`."""
    meta = checkpoint.get('meta')
    own = meta.get('mmaddp') if isinstance(meta, Mapping) else None
    return dict(own) if isinstance(own, Mapping) else {}


def meta_of(model: nn.Module) -> dict[str, Any]:
    """What a checkpoint of a model says of it: the ``checkpoint_meta`` of its parts."""
    parts = [part.checkpoint_meta for part in model.modules() if isinstance(part, Loadable)]
    settings = {key: value for part in parts for key, value in part.items() if value is not None}
    return {MODEL: settings} if settings else {}


def check_meta(model: nn.Module, checkpoint: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that says something else than :func:`meta_of`; files may say nothing.

    Raises:
        UserError: Names the setting.
    """
    meta = own_meta(checkpoint).get(MODEL, {})
    for part in model.modules():
        own = part.checkpoint_meta if isinstance(part, Loadable) else {}
        differing = [key for key in own if meta.get(key) not in (None, own[key])]
        if differing:
            held = in_config(meta, differing)
            raise UserError(
                f'was trained with {held}, the {type(part).__name__} of the config has '
                f'{in_config(own, differing)}: set {held}, or name another file'
            )


def find_source(checkpoint: Mapping[str, Any], tensors: Tensors, name: str) -> Source:
    """The layout of that name, or for 'auto' the one that the file is in.

    Raises:
        UserError: The layout is unknown; lists the known ones.
    """
    if name != 'auto':
        return SOURCES[name]
    source = recognize(checkpoint, tensors)
    if source is None:
        known = '; '.join(f'{other.name} has {other.looks_like}' for other in SOURCES.values())
        raise UserError(
            f'its layout is unknown: {known}; this has {shortened(list(tensors))}. Name the layout '
            'with --source if it should fit one of them'
        )
    return source


class Loadable(BaseModule):
    """A module that ``init_cfg=dict(type='Pretrained', checkpoint=PATH)`` fills from any file.

    Attributes:
        part: What of a file it takes: 'backbone', 'tokenizer', 'token_predictor' or 'decoder'.
        transfer_settings: Constructor arguments that leave out what only pre-training uses.
        weight_rules: How it adapts weights that do not fit exactly.
        checkpoint_meta: Settings that no tensor tells and its weights depend on. A checkpoint has
            them under ``meta['mmaddp']['model']``, and must agree if it does.
    """

    part = ''
    transfer_settings: dict = {}
    checkpoint_meta: dict[str, Any] = {}
    weight_rules: WeightRules | None = None

    @classmethod
    def settings_from(cls, state: Tensors) -> dict[str, Any] | None:
        """Constructor arguments that fit weights in this class's names; None for other names.

        Sizes are taken from the majority of the tensors that tell them, so that weights with
        missing or misshapen tensors are told too.
        """
        return None

    def load(self, path: str | Path, prefix: str | None = None) -> None:
        """Load a published file, a converted one or a checkpoint of ours.

        The log says what was adapted by the module's ``weight_rules``.

        Args:
            path: Any file or folder that :func:`read_checkpoint` reads.
            prefix: Where in the file the weights are, as in :func:`convert_checkpoint`.

        Raises:
            UserError: The file cannot be read or does not fit; the message names file, keys and
                remedy. Nothing is loaded then.
        """
        checkpoint = read_checkpoint(path)
        with naming(path):
            # Weights of other settings may fit in shape and compute something else.
            check_meta(self, checkpoint)
            conversion = convert(checkpoint, target=self.part, module=self, prefix=prefix)
        self.load_state_dict(conversion.state_dict, strict=True)
        for note in conversion.notes:
            print_log(f'{path}: {note}', 'current', logging.WARNING)
        fates = (f'{part.name} ({part.tensors}) {part.fate}' for part in conversion.parts)
        print_log(f"{path} ('{conversion.source}') loaded: {'; '.join(fates)}", 'current')

    def init_parameters(self) -> None:
        """Initialize the weights before those of ``init_cfg``; as PyTorch does by default."""

    def init_weights(self) -> None:
        """Initialize the weights, then load those of ``init_cfg``, if any."""
        if self.is_init:
            return
        # Before loading, since a file may leave tensors as initialized.
        self.init_parameters()
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            self.load(self.init_cfg['checkpoint'], self.init_cfg.get('prefix'))
            self._is_init = True
        else:
            super().init_weights()
