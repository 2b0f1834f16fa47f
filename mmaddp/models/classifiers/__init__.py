from .noise_conditional import NoiseConditionalClassifier
from .noise_conditional_head import NoiseConditionalHead

__all__ = ['NoiseConditionalClassifier', 'NoiseConditionalHead']
