"""Weight decay as generative pre-training applies it."""

from __future__ import annotations

from torch import nn

from mmaddp.registry import OPTIM_WRAPPER_CONSTRUCTORS

from .grouping_constructor import GroupingOptimWrapperConstructor


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class WeightDecayOptimWrapperConstructor(GroupingOptimWrapperConstructor):
    """Another weight decay for norms, biases and other one-dimensional parameters.

    ``paramwise_cfg`` takes ``flat_decay_mult``, which MMEngine's constructor has too, and nothing
    else. With 0 one-dimensional parameters do not decay, and positions, tokens and embeddings do:
    the grouping of timm that MAE, MAGE and ADDP pre-train with.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        given = sorted(self.paramwise_cfg)
        if given != ['flat_decay_mult']:
            raise ValueError(
                'paramwise_cfg of WeightDecayOptimWrapperConstructor takes flat_decay_mult and '
                f'nothing else; it has {given}'
            )

    def decay_factor(self, name: str, parameter: nn.Parameter) -> float:
        """Weight decay of a parameter over the optimizer's."""
        return 1.0 if parameter.ndim > 1 else self.paramwise_cfg['flat_decay_mult']
