"""Sorts a model's trainable parameters into groups: what all optimizer constructors share."""

from __future__ import annotations

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from prettytable import PrettyTable
from torch import nn


class GroupingOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Few groups of equal learning rate and weight decay; frozen parameters are in none.

    MMEngine's own constructor makes a group of each parameter and takes frozen ones too.
    Subclasses scale each parameter's learning rate and weight decay by options of
    ``paramwise_cfg``; where that is empty, MMEngine asks no constructor.
    """

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: object) -> None:
        """Sort the trainable parameters of ``module`` into ``params``.

        Raises:
            ValueError: Sharding has flattened the parameters.
        """
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

    def decay_factor(self, name: str, parameter: nn.Parameter) -> float:
        """Weight decay of a parameter over the optimizer's."""
        raise NotImplementedError


def original_name(name: str) -> str:
    """A parameter's name without what wrappers for sharding and checkpointing put into it.

    Raises:
        ValueError: Sharding has flattened the parameters of several layers into one.
    """
    if '_flat_param' in name:
        raise ValueError(
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
