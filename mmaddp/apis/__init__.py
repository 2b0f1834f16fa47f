from mmaddp.apis.robustness import build_classifier, evaluate_robustness

__all__ = ['build_classifier', 'evaluate_robustness']
