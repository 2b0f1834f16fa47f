"""Fully sharded training, as far as MMEngine's strategy leaves it open."""

from __future__ import annotations

import os
from typing import Any

import torch
from mmengine._strategy import FSDPStrategy as MMEngineFSDPStrategy
from mmengine.device import get_device
from mmengine.dist import is_distributed
from torch import nn
from torch.distributed.fsdp import FullStateDictConfig, FullyShardedDataParallel
from torch.distributed.fsdp.api import FullOptimStateDictConfig
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

from mmaddp.engine.runner.launch import init_cpu_process_group
from mmaddp.engine.runner.step_size import base_of_batches
from mmaddp.models.layers import Block
from mmaddp.registry import STRATEGIES


@STRATEGIES.register_module()
class FSDPStrategy(MMEngineFSDPStrategy):
    """Shards parameters, gradients and the optimizer's state over the processes.

    MMEngine's strategy with what a pre-training needs: modules that are never trained stay whole
    in each process, groups of parameters are made from the whole parameters, gradients are clipped
    by their norm over all shards, checkpoints are those of unsharded training, and without a GPU
    the processes talk through gloo.

    Args:
        model_wrapper: Settings of MMEngine's ``MMFullyShardedDataParallel`` that replace the ones
            here, by which each of this package's transformer blocks is a unit of its own.
        kwargs: As for MMEngine's strategy, without ``state_dict_cfg``.
    """

    def __init__(self, *, model_wrapper: dict | None = None, **kwargs: Any) -> None:
        super().__init__(model_wrapper=model_wrapper or {}, state_dict_cfg='full', **kwargs)
        if get_device() == 'cpu':
            # What is on the CPU already would be handed out as a view of memory that is freed.
            self.state_dict_config = FullStateDictConfig(rank0_only=False)
            self.optim_state_dict_config = FullOptimStateDictConfig(rank0_only=False)

    def _setup_distributed(self, launcher: str, backend: str = 'nccl', **kwargs: Any) -> None:
        if get_device() == 'cpu' and not is_distributed():
            init_cpu_process_group(launcher, kwargs.get('timeout'))
        super()._setup_distributed(launcher, backend, **kwargs)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model and note its tensors, whose shapes no shard has."""
        model = super().build_model(model)
        self.whole_tensors = {n: t.to('meta') for n, t in model.state_dict().items()}
        return model

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        os.environ.setdefault('LOCAL_RANK', '0')
        on_cpu = get_device() == 'cpu'
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
        return super()._wrap_model(model)

    def build_optim_wrapper(self, optim_wrapper: Any, model: nn.Module | None = None) -> Any:
        """Build the optimizer wrapper while each process sees the whole parameters.

        A shard has no shape, by which constructors tell what decays, and clipping it by its own
        norm would scale each process's gradients by another factor.
        """
        with FullyShardedDataParallel.summon_full_params(model, writeback=False):
            wrapper = super().build_optim_wrapper(optim_wrapper, model)
        if wrapper.clip_grad_kwargs and wrapper.grad_name == 'grad_norm':
            wrapper.clip_func = _clip_over_shards(model)
        return wrapper

    def _scale_lr(self) -> None:
        self._auto_scale_lr = base_of_batches(self._auto_scale_lr, self.optim_wrapper)
        super()._scale_lr()


def _clip_over_shards(model: FullyShardedDataParallel) -> Any:
    def clip(parameters: list, max_norm: float, norm_type: float = 2.0) -> torch.Tensor:
        return model.clip_grad_norm_(max_norm, norm_type)

    return clip
