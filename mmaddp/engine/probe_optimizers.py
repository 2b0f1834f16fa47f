"""The optimizer of a probe, whose heads must not influence each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from mmaddp.models.inspection import unwrapped
from mmaddp.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ProbeOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Gives each head of a :class:`mmaddp.models.GridProbe` the learning rate of its cell.

    With ``clip_grad`` each head's gradient is clipped by its own norm. The norm of all gradients
    would couple the heads.

    Args:
        optim_wrapper_cfg: As for MMEngine's constructor.
        paramwise_cfg: As for MMEngine's constructor, within each head.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        # MMEngine makes no groups without options.
        super().__init__(optim_wrapper_cfg, paramwise_cfg or dict(custom_keys={}))

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper of a model, which may be wrapped for several processes."""
        wrapper = super().__call__(model)
        if wrapper.clip_grad_kwargs:
            heads = [
                [one for one in head.parameters() if one.requires_grad]
                for head in unwrapped(model).heads.values()
            ]
            wrapper.clip_func = partial(clip_each, heads, wrapper.clip_func)
        return wrapper

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: Any) -> None:
        """Add the parameters of all heads; those with equal settings form one group."""
        if not hasattr(module, 'heads'):  # a part of a head
            super().add_params(params, module, **kwargs)
            return
        groups: dict[str, dict] = {}
        for cell in module.cells:
            single: list[dict] = []
            super().add_params(single, module.heads[cell.key], prefix=f'heads.{cell.key}')
            for group in single:
                parameters = group.pop('params')
                if cell.lr is not None:
                    # `paramwise_cfg` may have scaled the optimizer's own.
                    group['lr'] = cell.lr * group.get('lr', self.base_lr) / self.base_lr
                settings = repr(sorted(group.items()))
                groups.setdefault(settings, dict(group, params=[]))['params'] += parameters
        params.extend(groups.values())


def clip_each(
    heads: Sequence[Sequence[nn.Parameter]], clip: Callable, _: object, **settings: Any
) -> torch.Tensor | None:
    """Clip the gradients of each head, and give the largest norm for the log."""
    norms = [clip(head, **settings) for head in heads]
    return None if norms[0] is None else torch.stack(norms).max()
