"""Fully sharded training, as far as MMEngine's strategy leaves it open."""

from __future__ import annotations

import os
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import is_distributed
from torch import nn
from torch.distributed.fsdp import FullStateDictConfig, FullyShardedDataParallel
from torch.distributed.fsdp.api import FullOptimStateDictConfig
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

from mmaddp.engine.private import OpenFSDPStrategy
from mmaddp.models.layers import Block
from mmaddp.registry import STRATEGIES
from mmaddp.utils import UserError

from .launch import init_cpu_process_group
from .runner import base_of_batches


@STRATEGIES.register_module()
class FSDPStrategy(OpenFSDPStrategy):
    """Shards parameters, gradients and the optimizer's state over the processes.

    Differs from MMEngine's strategy: frozen parts stay whole in each process, parameter groups are
    made from whole parameters, gradients are clipped by their norm over all shards, checkpoints
    are those of unsharded training, and processes without a GPU communicate through gloo.

    Args:
        model_wrapper: Settings of MMEngine's ``MMFullyShardedDataParallel`` that replace the
            default ones, which make each transformer block a unit.
        kwargs: As for MMEngine's strategy, without ``state_dict_cfg``.
    """

    def __init__(self, *, model_wrapper: dict | None = None, **kwargs: Any) -> None:
        super().__init__(model_wrapper=model_wrapper or {}, state_dict_cfg='full', **kwargs)
        if get_device() == 'cpu':
            # State already on the CPU would be returned as a view of memory that is freed later.
            self.state_dict_config = FullStateDictConfig(rank0_only=False)
            self.optim_state_dict_config = FullOptimStateDictConfig(rank0_only=False)

    def setup_distributed(self, launcher: str, backend: str = 'nccl', **kwargs: Any) -> None:
        """Join the other processes, through gloo where there is no GPU."""
        if get_device() == 'cpu' and not is_distributed():
            init_cpu_process_group(launcher, kwargs.get('timeout'))
        super().setup_distributed(launcher, backend, **kwargs)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model and note its tensors' shapes, which no shard has."""
        model = super().build_model(model)
        self.whole_tensors = {n: t.to('meta') for n, t in model.state_dict().items()}
        return model

    def wrap_model(self, model: nn.Module) -> nn.Module:
        """Shard the model; parts that are never trained stay whole."""
        os.environ.setdefault('LOCAL_RANK', '0')
        on_cpu = get_device() == 'cpu'
        if any(getattr(part, 'lora', None) for part in model.modules()):
            # Shards take the place of the weights, which adapted layers read.
            raise UserError('lora: FSDPStrategy shards no adapters; train with mmaddp.Runner')
        frozen = getattr(model, 'frozen_parts', ())
        for name in frozen:
            model.get_submodule(name).to(get_device())
        self.model_wrapper = {
            'type': 'MMFullyShardedDataParallel',
            'use_orig_params': True,
            'ignored_modules': list(frozen),
            'auto_wrap_policy': {
                'type': transformer_auto_wrap_policy,
                'transformer_layer_cls': {Block},
            },
            **({'device_id': torch.device('cpu')} if on_cpu else {}),
            **self.model_wrapper,
        }
        return super().wrap_model(model)

    def build_optim_wrapper(self, optim_wrapper: Any, model: nn.Module | None = None) -> Any:
        """Build the optimizer wrapper while each process sees the whole parameters."""
        # Constructors decide by shape what decays, and a shard has none.
        with FullyShardedDataParallel.summon_full_params(model, writeback=False):
            wrapper = super().build_optim_wrapper(optim_wrapper, model)
        if wrapper.clip_grad_kwargs and wrapper.grad_name == 'grad_norm':
            # The norm of one shard would scale each process's gradients by another factor.
            wrapper.clip_func = _clip_over_shards(model)
        return wrapper

    def scaling(self, auto_scale_lr: Any) -> Any:
        """``auto_scale_lr`` in images of one batch."""
        return base_of_batches(auto_scale_lr, self.optim_wrapper)


def _clip_over_shards(model: FullyShardedDataParallel) -> Any:
    def clip(parameters: list, max_norm: float, norm_type: float = 2.0) -> torch.Tensor:
        return model.clip_grad_norm_(max_norm, norm_type)

    return clip
