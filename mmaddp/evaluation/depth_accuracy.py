"""Top-1 accuracy of the heads at every depth, and which depth is best."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmaddp.registry import METRICS


@METRICS.register_module()
class DepthAccuracy(BaseMetric):
    """Top-1 accuracy in percent by depth, for :class:`mmaddp.models.AllDepthsHead`.

    The metrics are ``depth_1``, ``depth_2`` and so on, as many blocks as an image went through
    when the encoder gives the outputs of all (figure 8b of DARL divides by their number), and
    ``best`` and ``best_depth``, the first of the best. That best is chosen on the images that it
    is measured on, as in the paper's figure.
    """

    default_prefix = 'accuracy'

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep for each image which depths are right."""
        for sample in data_samples:
            predicted, label = sample['pred_label_by_depth'], sample['gt_label']
            self.results.append(predicted.cpu() == label.cpu())

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        """The accuracies of all depths, the best and its depth."""
        top1 = 100 * torch.stack(results).double().mean(dim=0)
        best = int(top1.argmax())
        by_depth = {f'depth_{depth}': value for depth, value in enumerate(top1.tolist(), start=1)}
        return {**by_depth, 'best': top1[best].item(), 'best_depth': best + 1}
