"""Top-1 accuracy over noise levels."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mmaddp.registry import METRICS


@METRICS.register_module()
class NoiseLevelAccuracy(BaseMetric):
    """Top-1 accuracy in percent by noise level, for :class:`mmaddp.NoiseConditionalClassifier`.

    The metrics are ``level_1`` and so on, by the numbers of the levels (figure 6 of DDAE), and
    ``mean`` over them.
    """

    default_prefix = 'accuracy'

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep for each image at which levels its label is right."""
        for sample in data_samples:
            label = int(sample['gt_label'])
            predicted = sample['pred_label_by_level'].items()
            self.results.append({number: one == label for number, one in predicted})

    def compute_metrics(self, results: list[dict[int, bool]]) -> dict[str, float]:
        """The accuracies of all levels, and their mean."""
        by_level = {
            f'level_{number}': 100 * sum(right[number] for right in results) / len(results)
            for number in results[0]
        }
        return {**by_level, 'mean': sum(by_level.values()) / len(by_level)}
