"""The weights in a checkpoint, out of the nests and prefixes that training leaves around them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Callable

import numpy as np
import torch
from torch import Tensor

from mmaddp.utils import UserError, refuse_if

from .rules import Part, Tensors, shortened, under

# Moving averages: 'ema' is DiT's and YOLO's key, 'model_ema' DeiT's, 'state_dict_ema' timm's,
# 'params_ema' BasicSR's, 'teacher' DINO's, 'target_encoder' I-JEPA's. The others are the names of
# modules in Lightning's files.
AVERAGES = (
    'ema',
    'model_ema',
    'ema_model',
    'state_dict_ema',
    'ema_state_dict',
    'model_ema_state_dict',
    'params_ema',
    'teacher',
    'target_encoder',
)
# The weights of the last step. MoCo's authors transfer 'encoder_q' and 'base_encoder' (version 3),
# not their averages.
LAST_STEP = (
    'model',
    'state_dict',
    'model_state_dict',
    'net',
    'network',
    'params',
    'weights',
    'module',
    'student',
    'backbone',
    'encoder',
    'base_encoder',
    'encoder_q',
)
NESTS = (*AVERAGES, *LAST_STEP)
# Steps of a name that wrappers add wherever they wrap: torch.compile, FSDP, fairscale's FSDP,
# activation checkpointing, Lightning Fabric.
WRAPPERS = (
    '_orig_mod',
    '_fsdp_wrapped_module',
    '_fpw_module',
    '_checkpoint_wrapped_module',
    '_forward_module',
)
# DistributedDataParallel, DataParallel and AveragedModel.
MODULE = 'module'
# Counters of averages: AveragedModel's, MMEngine's, and Lightning's.
COUNTERS = ('n_averaged', 'steps', 'num_updates')
# Beginnings of the keys of optimizers, schedulers, scalers and random states, in lower case.
TRAINING_STATE = ('opt', 'lr_', 'sched', 'param_sched', 'scaler', 'loss_scal', 'rng', 'message_hub')


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of one network in a checkpoint.

    Attributes:
        tensors: Names without wrappers, and tensors.
        place: Keys and prefixes that lead to them, such as 'state_dict.model'; '' for none.
        others: Places of other weights of the same network.
        skipped: What stands beside them, as rows of the summary.
    """

    tensors: dict[str, Tensor]
    place: str = ''
    others: tuple[str, ...] = ()
    skipped: tuple[Part, ...] = ()

    @property
    def note(self) -> str:
        """One line about the choice among several weights; '' if there was none."""
        if not self.others:
            return ''
        averaged = is_average(self.place) or 'ema_state_dict' in self.others
        options = ' or '.join(f'prefix={other!r}' for other in self.others)
        what = 'the moving average' if averaged else 'the weights'
        return f'takes {what} in {self.place!r}; {options} takes the other weights'


def find_weights(
    checkpoint: Mapping[str, Any],
    recognized: Callable[[Tensors], bool],
    prefix: str | None = None,
) -> Weights:
    """Find the weights of a network in a checkpoint.

    A moving average comes before the weights of the last step.

    Args:
        checkpoint: Tensors or NumPy arrays under their names, or mappings of such; anything else
            is skipped.
        recognized: Whether tensors are in a known layout. If none are, the first state dict is
            taken.
        prefix: The place of the weights, such as 'model' or 'state_dict.student'.

    Raises:
        UserError: The checkpoint has no tensors (under the prefix), or only shards of them.
    """
    states = dict(state_dicts(checkpoint))
    if prefix:
        states = {'': under_prefix(states, prefix)}
    keys = shortened([*map(str, checkpoint)])
    names = (name for state in states.values() for name in state)
    refuse_if(
        (
            not states,
            f'holds no state dict: no tensors at its top or in a mapping (its keys: {keys})',
        ),
        (
            any(name.endswith('flat_param') for name in names),
            'holds flattened shards of FSDP: save it with FULL_STATE_DICT',
        ),
    )
    nests = rank(states, checkpoint)
    found = [option for nest in nests for option in options(nest, states[nest])]
    known = [option for option in found if recognized(option.tensors)]
    if known:
        return with_others(known[0], [option.place for option in known])
    # Unknown keys are parts of one network. The names that they begin tell DDAE's EMA from MODEL.
    whole = Weights(bare(joined(states)))
    if recognized(whole.tensors):
        return whole
    first = nests[0] if nests else None
    state = joined(states) if first is None else states[first]
    return with_others(counted(Weights(unprefixed(state), first or '')), nests)


def state_dicts(
    checkpoint: Mapping[str, Any], place: str = ''
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Each mapping that holds tensors, with the keys that lead to it, joined by dots."""
    tensors = {str(key): as_tensor(value) for key, value in checkpoint.items() if is_array(value)}
    if tensors:
        yield place, tensors
    for key, value in checkpoint.items():
        # The tensors of an optimizer may have the names of the weights.
        if isinstance(value, Mapping) and not str(key).lower().startswith(TRAINING_STATE):
            yield from state_dicts(value, f'{place}.{key}' if place else str(key))


def rank(states: Mapping[str, Tensors], checkpoint: Mapping[str, Any]) -> list[str]:
    """The places whose keys are all known, averages first; the top of the file comes last."""
    meta = checkpoint.get('meta')
    # MMEngine's EMAHook saves the average as 'state_dict', and the weights of the last step as
    # 'ema_state_dict'.
    swapped = isinstance(meta, Mapping) and 'mmengine_version' in meta

    def order(place: str) -> tuple:
        # NESTS is in order of preference.
        numbers = [NESTS.index(step) for step in place.split('.') if step]
        return not place, swapped and place == 'ema_state_dict', numbers

    known = [place for place in states if {*place.split('.')} <= {*NESTS, ''}]
    return sorted(known, key=order)


def options(place: str, state: Tensors) -> list[Weights]:
    """A state dict as it is, and what is behind each known prefix in it, averages first."""
    whole = counted(Weights(bare(state), place))
    beginnings = {name.partition('.')[0] for name in whole.tensors}
    inner = [
        replace(option, skipped=(*whole.skipped, *outside(whole, prefix), *option.skipped))
        for prefix in NESTS
        if prefix in beginnings
        for option in options(f'{place}.{prefix}'.lstrip('.'), under(whole.tensors, f'{prefix}.'))
    ]
    # Averages generate and transfer better than the weights of the last step.
    averages = [option for option in inner if is_average(option.place[len(place) :])]
    return [*averages, whole, *(option for option in inner if option not in averages)]


def counted(weights: Weights) -> Weights:
    """Weights without the counters of an average, which are told in the summary."""
    counters = [k for k, t in weights.tensors.items() if k in COUNTERS and t.numel() == 1]
    tensors = {name: t for name, t in weights.tensors.items() if name not in counters}
    rows = [Part('counter', 1, 1, 'dropped: only averaging uses it') for _ in counters]
    return replace(weights, tensors=tensors, skipped=(*weights.skipped, *rows))


def outside(weights: Weights, prefix: str) -> list[Part]:
    """What does not begin with a prefix, as a row of the summary."""
    sizes = [t.numel() for k, t in weights.tensors.items() if not k.startswith(f'{prefix}.')]
    return [Part('', len(sizes), sum(sizes), f"dropped: not in '{prefix}.'")] if sizes else []


def with_others(weights: Weights, places: Sequence[str]) -> Weights:
    """Weights with the places of others, outermost only, neither around nor inside theirs."""
    apart = [weights.place]
    for place in sorted(filter(None, places), key=len):
        if not any(is_inside(place, other) or is_inside(other, place) for other in apart):
            apart.append(place)
    return replace(weights, others=tuple(apart[1:]))


def is_inside(place: str, outer: str) -> bool:
    """Whether a place is another one or inside it."""
    return f'{place}.'.startswith(f'{outer}.') or not outer


def under_prefix(states: Mapping[str, Tensors], prefix: str) -> Tensors:
    """What begins with a prefix, of keys and names together.

    Raises:
        UserError: Nothing does; names the beginnings that there are.
    """
    everything = bare(joined(states))
    found = under(everything, bare_name(prefix.rstrip('.')) + '.')
    if not found:
        beginnings = shortened(list(dict.fromkeys(name.partition('.')[0] for name in everything)))
        raise UserError(f"no name begins with prefix='{prefix}': they begin with {beginnings}")
    return found


def joined(states: Mapping[str, Tensors]) -> dict[str, Tensor]:
    """All tensors of a file, their names behind the keys that lead to them."""
    return {
        f'{place}.{name}' if place else name: tensor
        for place, state in states.items()
        for name, tensor in state.items()
    }


def bare(state: Tensors) -> dict[str, Tensor]:
    """Tensors under names without the steps of wrappers.

    A network may have a child called 'module' of its own. Two names that would become one show it.
    """
    names = {bare_name(name) for name in state}
    if len(names) < len(state):
        return unprefixed(state)
    return {bare_name(name): tensor for name, tensor in state.items()}


def bare_name(name: str, wrappers: Collection[str] = (*WRAPPERS, MODULE)) -> str:
    """A name without the steps of wrappers."""
    return '.'.join(step for step in name.split('.') if step not in wrappers)


def unprefixed(state: Tensors) -> dict[str, Tensor]:
    """Tensors without the wrappers of PyTorch's own, and without 'module.' before every name."""
    # torch.compile and activation checkpointing name steps inside; DDP one at the beginning.
    names = {name: bare_name(name, WRAPPERS) for name in state}
    wrapped = [name for name in names.values() if name not in COUNTERS]
    start = f'{MODULE}.' if all(name.startswith(f'{MODULE}.') for name in wrapped) else ''
    return {
        names[name][len(start) if names[name].startswith(start) else 0 :]: tensor
        for name, tensor in state.items()
    }


def is_average(place: str) -> bool:
    """Whether a place is that of a moving average."""
    return any(step in AVERAGES for step in place.split('.'))


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
