"""Layer-wise learning-rate decay for classifiers, detectors and segmentors alike."""

from __future__ import annotations

from torch import nn

from mmaddp.registry import OPTIM_WRAPPER_CONSTRUCTORS

from .grouping_constructor import GroupingOptimWrapperConstructor


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(GroupingOptimWrapperConstructor):
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
        self.rate = self.paramwise_cfg['layer_decay_rate']
        if not 0 < self.rate <= 1:
            raise ValueError(f'layer_decay_rate {self.rate} is not in (0, 1]')

    def lr_factor(self, model: nn.Module, name: str) -> float:
        """Learning rate of a parameter over the head's.

        Raises:
            ValueError: The backbone does not tell its depths.
        """
        return self.rate ** count_layers_above(model, name, self.rate)

    def decay_factor(self, name: str, parameter: nn.Parameter) -> float:
        """0 for norms, biases, positions and tokens, 1 for the rest."""
        leaf = name.rsplit('.', maxsplit=1)[-1]
        is_position_or_token = leaf.endswith(('pos_embed', 'token')) or leaf.startswith('rel_pos')
        return float(parameter.ndim > 1 and not is_position_or_token)


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
