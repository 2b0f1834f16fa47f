"""The one judge of whether weights fit a module.

:func:`fit` compares names and shapes with the module's own, which are the truth about both. In its
``weight_rules`` a module says what it makes of other weights: which tensors it resizes, which it
has no place for, and which may stay as initialized. In ``settings_from(state_dict)`` its class says
which constructor arguments fit given weights. An error names these as the remedy, and the module of
a file that comes without a config is built with them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Callable

import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from .rules import MAX_NAMES, Renamed, Tensors, shortened

INITIALIZED = 'left as initialized'


@dataclass(frozen=True)
class WeightRules:
    """How a module adapts weights that do not fit exactly.

    Keys are regular expressions for the beginnings of names.

    Args:
        resized: Functions (tensor, wanted shape) -> tensor of that shape, or the tensor as it is
            where that is impossible.
        dropped: Why a tensor may be dropped that the module has no place for.
        optional: What may stay as initialized, if the file has nothing of it.
        filled: What an ``init_cfg`` of its own fills, if the file has nothing of it.
    """

    resized: Mapping[str, Callable[[Tensor, torch.Size], Tensor]] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    optional: Sequence[str] = ()
    filled: Sequence[str] = ()


@dataclass
class Fit:
    """Weights as a module takes them.

    Attributes:
        state_dict: Names and tensors.
        fates: What became of each tensor, the file's and the module's own.
    """

    state_dict: dict[str, Tensor] = field(default_factory=dict)
    fates: dict[str, str] = field(default_factory=dict)


def fit(
    state: Tensors,
    module: nn.Module,
    *,
    adapt: bool = True,
    keep_sizes: bool = False,
    rules: WeightRules | None = None,
    wanted: Tensors | None = None,
    renamed: Renamed | None = None,
) -> Fit:
    """Fit weights to a module, or list everything that is wrong with them.

    Args:
        state: The weights in our names.
        module: What they are for; only its names and shapes count, so the meta device will do.
        adapt: Apply the module's own ``weight_rules``.
        keep_sizes: Leave what could be resized in the file's size.
        rules: Further rules, for names of the whole module.
        wanted: The module's tensors by name, where ``state_dict()`` does not give all of them.
        renamed: The file that the weights come from, whose names an error then uses.

    Returns:
        The weights, ready for a strict ``load_state_dict``.

    Raises:
        UserError: Tensors are missing, left over or of the wrong shape; one line with the remedy.
    """
    wanted = module.state_dict() if wanted is None else wanted
    known = ModuleRules(module if adapt else None, rules)
    renamed = renamed or Renamed(state, ())
    result, left_over, wrong = Fit(), [], []
    for name, tensor in state.items():
        if name in wanted:
            shape = wanted[name].shape
            fitted = known.resized(name, tensor, shape)
            # What keeps its size must be one that the module could have: resizing leads back to it.
            back = known.resized(name, fitted, tensor.shape) if keep_sizes else tensor
            fits = fitted.shape == shape and back.shape == tensor.shape
            wrong += [] if fits else [(name, shape)]
            result.state_dict[name] = tensor if keep_sizes else fitted
            result.fates[name] = 'kept' if result.state_dict[name] is tensor else 'resized'
        else:
            why = known.find('dropped', name) or renamed.spare.get(name)
            left_over += [] if why else [name]
            result.fates[name] = f'dropped: {why}'
    # Only a module that was initialized can keep tensors of its own.
    missing = [name for name in wanted if name not in state]
    if not keep_sizes:
        own = [name for name in missing if known.stays_initialized(name, state, module)]
        missing = [name for name in missing if name not in own]
        result.state_dict.update({name: wanted[name] for name in own})
        result.fates.update(dict.fromkeys(own, INITIALIZED))
    # The remedy follows from the file's tensors, including those that fit nowhere.
    held = {**result.state_dict, **{name: state[name] for name in left_over}}
    remedy = str if keep_sizes else partial(remedy_for, held, state, module)
    complain(renamed, missing, left_over, wrong, remedy)
    return result


def complain(
    renamed: Renamed,
    missing: Sequence[str],
    left_over: Sequence[str],
    wrong: Sequence[tuple[str, torch.Size]],
    remedy: Callable[[], str] = str,
) -> None:
    """Raise one error that lists everything that is wrong, under the names of the file."""
    found = {what: list(names) for what, names in renamed.complaints.items()}
    for what, names in (('missing', missing), ('left over', left_over)):
        found[what] = found.get(what, []) + [renamed.in_file(name) for name in names]
    found['wrong shape'] = [
        f'{key} is {tuple(renamed.tensors[key].shape)}, expected {tuple(shape)}'
        for key, shape in ((renamed.in_file(name), shape) for name, shape in wrong)
    ]
    if not any(found.values()):
        return
    how = remedy()
    # The remedy matters more than the names.
    most = 2 if how else MAX_NAMES
    listed = '; '.join(f'{k}: {shortened(names, most)}' for k, names in found.items() if names)
    raise UserError(f'{how} ({listed})' if how else listed)


class ModuleRules:
    """The rules of a module and of all modules inside it.

    Args:
        module: The module; None has none of its own.
        more: Rules for names of the whole.
    """

    def __init__(self, module: nn.Module | None, more: WeightRules | None) -> None:
        # Rules of an inner module hold below its own path.
        modules = {} if module is None else dict(module.named_modules())
        own = {name: getattr(part, 'weight_rules', None) for name, part in modules.items()}
        self.rules = [(f'{name}.' if name else '', rules) for name, rules in own.items() if rules]
        self.rules += [('', more)] if more else []

    def find(self, kind: str, name: str) -> Any:
        """What the first rule of a kind says about a tensor; None without a rule."""
        for prefix, rules in self.rules:
            for pattern, value in getattr(rules, kind).items():
                if re.match(re.escape(prefix) + pattern, name):
                    return value
        return None

    def resized(self, name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
        """The tensor in the shape wanted, where a rule can resize it."""
        resize = self.find('resized', name) if tensor.shape != shape else None
        if resize is None:
            return tensor
        # Resizing computes within autocast, which the meta device does not have.
        return resize(torch.zeros(tensor.shape) if tensor.is_meta else tensor, shape)

    def stays_initialized(self, name: str, state: Tensors, module: nn.Module) -> bool:
        """Whether a tensor may keep its initialization: the file has none of its kind."""
        for prefix, rules in self.rules:
            for pattern in (*rules.filled, *rules.optional):
                kind = re.compile(re.escape(prefix) + pattern)
                # A file with some tensors of a kind but not all is incomplete.
                if kind.match(name) and not any(map(kind.match, state)):
                    if pattern in rules.filled:
                        return True
                    # A frozen norm would never learn; frozen zeros have no effect.
                    parameter = dict(module.named_parameters()).get(name)
                    return parameter is None or parameter.requires_grad or not parameter.any()
        return False


def remedy_for(held: Tensors, state: Tensors, module: nn.Module) -> str:
    """The settings that would make a module fit, as far as its class can tell.

    Args:
        held: What of the file the module could take or has no place for.
        state: The whole file in our names.
        module: The module.
    """
    name = type(module).__name__
    settings_from = getattr(module, 'settings_from', lambda state: None)
    # Both sides in terms of the constructor, so that the difference is a remedy.
    holds, builds = settings_from(held), settings_from(module.state_dict())
    other = class_of(state, module.part) if builds and not holds else None
    if other:
        return (
            f'holds {other.__name__}, the config builds {name}: set '
            f"type='{MODELS.scope}.{other.__name__}', or name another file"
        )
    differing = [key for key in holds or () if builds and holds[key] != builds.get(key)]
    if not differing:
        return f'does not fit the {name} of the config: set its arguments as the file has them'
    return (
        f'holds {name} with {in_config(holds, differing)}, the config builds '
        f'{in_config(builds, differing)}: set {in_config(holds, differing)}'
    )


def in_config(settings: Mapping[str, Any], names: Sequence[str]) -> str:
    """Settings as a config has them."""
    return ', '.join(f'{name}={shown(settings.get(name))}' for name in names)


def shown(value: Any) -> str:
    """A value of a config, dictionaries as OpenMMLab writes them."""
    return f'dict({in_config(value, list(value))})' if isinstance(value, dict) else repr(value)


class Untold(int):
    """A setting that no tensor tells, such as the number of heads; it equals every value."""

    def __repr__(self) -> str:
        return '…'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__


def size_of(state: Tensors, *kinds: tuple[str, int]) -> int:
    """The size that most of some tensors have; 0 where there are none.

    The majority counts, so that one tensor of a wrong shape does not make the others wrong.

    Args:
        state: Names and tensors.
        kinds: Regular expressions for whole names, each with the axis that tells the size.
    """
    sizes = Counter(
        tensor.shape[axis]
        for pattern, axis in kinds
        for name, tensor in state.items()
        if re.fullmatch(pattern, name) and tensor.ndim > axis
    )
    return sizes.most_common(1)[0][0] if sizes else 0


# The package of each part's classes; the others may need libraries that are not installed.
_PACKAGES = {
    'backbone': 'mmaddp.models.backbones',
    'tokenizer': 'mmaddp.models.tokenizers',
    'token_predictor': 'mmaddp.models.token_predictors',
    'decoder': 'mmaddp.models.pretrainers',
}


def classes_of(part: str) -> list[type]:
    """The registered classes of a part that tell their arguments from weights."""
    import_module(_PACKAGES[part])
    classes = [cls for cls in MODELS.module_dict.values() if getattr(cls, 'part', None) == part]
    # A subclass may take other arguments.
    return [cls for cls in classes if 'settings_from' in vars(cls)]


def class_of(state: Tensors, part: str) -> type | None:
    """The registered class that has these weights, or None; classes from outside come first."""
    # False sorts before True: classes from outside come first.
    classes = sorted(classes_of(part), key=lambda cls: cls.__module__.startswith('mmaddp.'))
    return next((cls for cls in classes if cls.settings_from(state) is not None), None)


def module_of(state: Tensors, part: str, for_transfer: bool = False) -> nn.Module | None:
    """The module that has these weights, on the meta device; None if no class has them.

    Args:
        state: Weights in our names.
        part: 'backbone', 'tokenizer', 'token_predictor' or 'decoder'.
        for_transfer: Build it as transfer does, without what only pre-training uses.

    Raises:
        UserError: No module has these sizes.
    """
    module = class_of(state, part)
    if module is None:
        return None
    # Transfer leaves out what only pre-training uses, whatever the file has.
    settings = {**module.settings_from(state), **(module.transfer_settings if for_transfer else {})}
    try:
        with torch.device('meta'):
            return module(**settings)
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(
            f'no {module.__name__} has the sizes {in_config(settings, list(settings))}: {error}'
        ) from None


def default_module(part: str) -> nn.Module:
    """A default module of a part, to list what unknown weights lack."""
    first = classes_of(part)[0]
    with torch.device('meta'):
        return first()


def nested(modules: Mapping[str, nn.Module]) -> nn.Module:
    """A module that has others under dotted names."""
    root = nn.Module()
    for path, module in modules.items():
        # 'roi_head.bbox_head' becomes a child of 'roi_head'.
        *parents, name = path.split('.')
        parent = root
        for child in parents:
            if not hasattr(parent, child):
                parent.add_module(child, nn.Module())
            parent = getattr(parent, child)
        parent.add_module(name, module)
    return root


def build_heads(configs: Mapping[str, dict]) -> dict[str, nn.Module]:
    """Modules of other libraries on the meta device, from their configs."""
    for config in configs.values():
        MODELS.get(config['type'])  # imports the library, which must not happen on that device
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmdet'):
        return {path: MODELS.build(config) for path, config in configs.items()}
