from .noise_conditional import GuidedSampler, NoiseConditionalClassifier, NoiseConditionalHead

__all__ = ['GuidedSampler', 'NoiseConditionalClassifier', 'NoiseConditionalHead']
