from .layer_decay_constructor import LayerDecayOptimWrapperConstructor
from .parts_constructor import PartsOptimWrapperConstructor
from .weight_decay_constructor import WeightDecayOptimWrapperConstructor

__all__ = [
    'LayerDecayOptimWrapperConstructor',
    'PartsOptimWrapperConstructor',
    'WeightDecayOptimWrapperConstructor',
]
