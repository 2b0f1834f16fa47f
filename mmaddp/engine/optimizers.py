"""Optimizer constructors: parameter groups by weight decay and depth, and an optimizer per part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.logging import print_log
from mmengine.optim import (
    DefaultOptimWrapperConstructor,
    OptimWrapper,
    OptimWrapperDict,
    build_optim_wrapper,
)
from prettytable import PrettyTable
from torch import nn

from mmaddp.models.inspection import unwrapped
from mmaddp.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from mmaddp.utils import UserError, check_range

__all__ = [
    'BFloat16OptimWrapper',
    'LayerDecayOptimWrapperConstructor',
    'PartsOptimWrapperConstructor',
    'WeightDecayOptimWrapperConstructor',
]


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Forward passes in bfloat16 autocast, weights and optimizer in float32, on any device.

    MMEngine's ``AmpOptimWrapper`` refuses CPUs, some of which multiply bfloat16 matrices several
    times faster than float32 ones (AMX). bfloat16 has float32's range: no loss scale is needed.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """MMEngine's context (gradient accumulation), within autocast."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield


class GroupingOptimWrapperConstructor(DefaultOptimWrapperConstructor, ABC):
    """Groups parameters of equal learning rate and weight decay, without frozen ones.

    MMEngine's own constructor makes one group per parameter and includes frozen ones. Subclasses
    scale each parameter's learning rate and weight decay by ``paramwise_cfg[self.option]``.
    """

    option: str

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        # MMEngine ignores the constructor where paramwise_cfg is empty, and other options silently.
        if list(self.paramwise_cfg) != [self.option]:
            raise UserError(
                f'optim_wrapper.paramwise_cfg: {type(self).__name__} takes {self.option} and '
                f'nothing else; it has {sorted(self.paramwise_cfg)}'
            )

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: object) -> None:
        """Sort the trainable parameters of ``module`` into ``params``."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            name = original_name(name)
            lr = self.base_lr * self.lr_factor(module, name)
            weight_decay = (self.base_wd or 0.0) * self.decay_factor(name, parameter)
            groups.setdefault((lr, weight_decay), []).append(parameter)
        ordered = [
            dict(params=groups[key], lr=key[0], weight_decay=key[1])
            for key in sorted(groups, key=lambda key: (key[0], -key[1]))
        ]
        print_log(f'Parameter groups:\n{describe_groups(ordered)}', logger='current')
        params.extend(ordered)

    def lr_factor(self, model: nn.Module, name: str) -> float:
        """Learning rate of a parameter over the optimizer's."""
        return 1.0

    @abstractmethod
    def decay_factor(self, name: str, parameter: nn.Parameter) -> float:
        """Weight decay of a parameter over the optimizer's."""


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class WeightDecayOptimWrapperConstructor(GroupingOptimWrapperConstructor):
    """Scales the weight decay of norms, biases and other one-dimensional parameters.

    ``paramwise_cfg`` is ``dict(flat_decay_mult=...)``. With 0, one-dimensional parameters do not
    decay while positions, tokens and embeddings do. This is timm's grouping, which MAE, MAGE and
    ADDP pre-train with.
    """

    option = 'flat_decay_mult'

    def decay_factor(self, name: str, parameter: nn.Parameter) -> float:
        """Weight decay of a parameter over the optimizer's."""
        return 1.0 if parameter.ndim > 1 else self.paramwise_cfg['flat_decay_mult']


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(GroupingOptimWrapperConstructor):
    """Learning rates that fall by a constant factor with each layer below the head.

    A parameter at depth d of a backbone with L layers learns at ``lr * rate ** (L + 1 - d)``. The
    embeddings have depth 0, block i (from 0) has depth i + 1, necks and heads have L + 1. MAE, BEiT
    and ViTDet use this rule. Norms, biases, positions and tokens have no weight decay.

    ``paramwise_cfg`` is ``dict(layer_decay_rate=...)``, in (0, 1]. The backbone has
    ``get_layer_depth(name)``, which returns (depth, L + 2), as MMPretrain's do.
    """

    option = 'layer_decay_rate'

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        self.rate = self.paramwise_cfg['layer_decay_rate']
        name = 'optim_wrapper.paramwise_cfg.layer_decay_rate'
        check_range(name, self.rate, 0, 1, above=True)

    def lr_factor(self, model: nn.Module, name: str) -> float:
        """Learning rate of a parameter over the head's."""
        if not name.startswith('backbone.') or self.rate == 1:
            return 1.0
        depth, num_depths = model.backbone.get_layer_depth(name[len('backbone.') :])
        return self.rate ** (num_depths - 1 - depth)

    def decay_factor(self, name: str, parameter: nn.Parameter) -> float:
        """0 for norms, biases, positions and tokens, 1 for the rest."""
        leaf = name.rsplit('.', maxsplit=1)[-1]
        # Names of this package, timm and transformers.
        ends = ('pos_embed', 'position_embeddings', 'token', 'tokens')
        is_position_or_token = leaf.endswith(ends) or leaf.startswith('rel_pos')
        return float(parameter.ndim > 1 and not is_position_or_token)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PartsOptimWrapperConstructor:
    """Builds one optimizer wrapper for each named child of a model, as a GAN needs::

        optim_wrapper = dict(
            constructor='mmaddp.PartsOptimWrapperConstructor',
            tokenizer=dict(optimizer=dict(type='Adam', lr=1e-4)),
            discriminator=dict(optimizer=dict(type='Adam', lr=1e-4)),
        )

    Args:
        optim_wrapper_cfg: Config of an optimizer wrapper by name of the child. Each may have its
            own constructor.
        paramwise_cfg: Must be None. Each child's wrapper may have one.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise UserError('optim_wrapper.paramwise_cfg: give it to one of the parts instead')
        self.wrappers = optim_wrapper_cfg

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Build the wrappers of a model, which may be wrapped for several processes."""
        model = unwrapped(model)
        return OptimWrapperDict(
            **{name: _build_part(model, name, cfg) for name, cfg in self.wrappers.items()}
        )


def _build_part(model: nn.Module, name: str, cfg: dict) -> OptimWrapper:
    # A checkpoint does not hold the parts' counts, so that a resumed run would step elsewhere.
    if cfg.get('accumulative_counts', 1) > 1:
        raise UserError(f'optim_wrapper.{name}.accumulative_counts: parts cannot accumulate')
    return build_optim_wrapper(model.get_submodule(name), {'type': 'OptimWrapper', **cfg})


def original_name(name: str) -> str:
    """A parameter's name without the prefixes of sharding and activation checkpointing."""
    if '_flat_param' in name:
        raise UserError(
            'the optimizer needs the single parameters: set use_orig_params=True in the '
            "strategy's model_wrapper"
        )
    return name.replace('_fsdp_wrapped_module.', '').replace('_checkpoint_wrapped_module.', '')


def describe_groups(groups: list[dict]) -> str:
    """A table of the groups: learning rate, weight decay, tensors and parameters."""
    table = PrettyTable(['learning rate', 'weight decay', 'tensors', 'parameters'])
    table.align = 'r'
    for group in groups:
        size = sum(parameter.numel() for parameter in group['params'])
        row = [f'{group["lr"]:.3e}', group['weight_decay'], len(group['params']), f'{size:,}']
        table.add_row(row)
    return table.get_string()
