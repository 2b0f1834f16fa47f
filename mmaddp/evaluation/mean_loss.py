"""The loss of a pre-training on images that it does not see."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mmaddp.registry import METRICS


@METRICS.register_module()
class MeanLoss(BaseMetric):
    """The mean of each loss over all images, ``val/loss`` and so on (table 15 of DARL).

    Samples have ``pred_losses`` by name, the means of their batch.

    Args:
        collect_device: As for ``BaseMetric``.
        prefix: As for ``BaseMetric``.
    """

    default_prefix = 'val'

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Record the losses of each image's batch."""
        self.results += [sample['pred_losses'] for sample in data_samples]

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """The mean of each loss."""
        return {name: sum(one[name] for one in results) / len(results) for name in results[0]}
