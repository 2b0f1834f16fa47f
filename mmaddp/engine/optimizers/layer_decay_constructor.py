"""Layer-wise learning-rate decay for classifiers, detectors and segmentors alike."""

from __future__ import annotations

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from prettytable import PrettyTable
from torch import nn

from mmaddp.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Learning rates that fall by a factor with each layer below the head.

    A parameter at depth d of a backbone with L layers learns at ``lr * rate ** (L + 1 - d)``: the
    embeddings have depth 0, block i (from 0) depth i + 1, and necks and heads L + 1, so that
    they learn at ``lr``. MAE, BEiT and ViTDet use this rule. Norms, biases, positions and tokens
    have no weight decay.

    ``paramwise_cfg`` takes ``layer_decay_rate``, in (0, 1], and nothing else; 1 gives every layer
    the same rate. The model's ``backbone`` tells the depths by ``get_layer_depth(name)``, which
    gives (depth, L + 2), as those of this package and of MMPretrain do.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        given = sorted(self.paramwise_cfg)
        if given != ['layer_decay_rate']:
            raise ValueError(
                'paramwise_cfg of LayerDecayOptimWrapperConstructor takes layer_decay_rate and '
                f'nothing else; it has {given}'
            )
        rate = self.paramwise_cfg['layer_decay_rate']
        if not 0 < rate <= 1:
            raise ValueError(f'layer_decay_rate {rate} is not in (0, 1]')

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: object) -> None:
        """Sort the trainable parameters into groups of one depth and weight decay.

        Raises:
            ValueError: The backbone does not tell its depths, or the parameters have been
                flattened.
        """
        rate = self.paramwise_cfg['layer_decay_rate']
        groups: dict[tuple[int, bool], dict] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            name = original_name(name)
            layers_above = count_layers_above(module, name, rate)
            decayed = has_weight_decay(name, parameter)
            group = groups.setdefault(
                (layers_above, decayed),
                dict(
                    params=[],
                    lr=self.base_lr * rate**layers_above,
                    weight_decay=(self.base_wd or 0.0) if decayed else 0.0,
                ),
            )
            group['params'].append(parameter)
        ordered = [groups[key] for key in sorted(groups, reverse=True)]
        print_log(f'Parameter groups:\n{describe_groups(ordered)}', logger='current')
        params.extend(ordered)


def original_name(name: str) -> str:
    """A parameter's name without what wrappers for sharding and checkpointing put into it.

    Raises:
        ValueError: Sharding has flattened the parameters of several layers into one.
    """
    if '_flat_param' in name:
        raise ValueError(
            'layer-wise rates need the single parameters: set use_orig_params=True in the '
            "strategy's model_wrapper"
        )
    return name.replace('_fsdp_wrapped_module.', '').replace('_checkpoint_wrapped_module.', '')


def count_layers_above(model: nn.Module, name: str, rate: float) -> int:
    """Layers between a parameter and the head: 0 for all that is not in the backbone.

    Raises:
        ValueError: The backbone does not tell its depths, and ``rate`` needs them.
    """
    if not name.startswith('backbone.') or rate == 1:
        return 0
    backbone = model.backbone
    if not hasattr(backbone, 'get_layer_depth'):
        raise ValueError(
            f'{type(backbone).__name__} has no get_layer_depth, which layer_decay_rate {rate} '
            'needs: set layer_decay_rate=1'
        )
    depth, num_depths = backbone.get_layer_depth(name[len('backbone.') :])
    return num_depths - 1 - depth


def has_weight_decay(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter decays: norms, biases, positions and tokens do not."""
    leaf = name.rsplit('.', maxsplit=1)[-1]
    is_position_or_token = leaf.endswith(('pos_embed', 'token')) or leaf.startswith('rel_pos')
    return parameter.ndim > 1 and not is_position_or_token


def describe_groups(groups: list[dict]) -> str:
    """A table of the groups: learning rate, weight decay, tensors and parameters."""
    table = PrettyTable(['learning rate', 'weight decay', 'tensors', 'parameters'])
    table.align = 'r'
    for group in groups:
        size = sum(parameter.numel() for parameter in group['params'])
        row = [f'{group["lr"]:.3e}', group['weight_decay'], len(group['params']), f'{size:,}']
        table.add_row(row)
    return table.get_string()
