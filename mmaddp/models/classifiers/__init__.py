from .noise_conditional import GuidedSampler, NoiseConditionalClassifier
from .noise_conditional_head import NoiseConditionalHead

__all__ = ['GuidedSampler', 'NoiseConditionalClassifier', 'NoiseConditionalHead']
