"""Top-1 accuracy of every cell of a probe's grid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmaddp.registry import METRICS


@METRICS.register_module()
class GridAccuracy(BaseMetric):
    """Top-1 accuracy in percent by cell, for :class:`mmaddp.models.GridProbe`.

    The metrics are named as the cells are, ``out_7@11`` for a layer at a noise level and
    ``block_3`` for a layer of clean images, and ``best``, the highest of them; the control
    ``pixels`` is not among those. That best is chosen on the images that it is measured on, as in
    the paper (section 3.2).
    """

    default_prefix = 'accuracy'

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep for each image which cells are right."""
        for sample in data_samples:
            self.cells = sample['cells']
            predicted, label = sample['pred_label_by_cell'], sample['gt_label']
            self.results.append(predicted.cpu() == label.cpu())

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        """The accuracies of all cells, and the best."""
        top1 = (100 * torch.stack(results).double().mean(dim=0)).tolist()
        by_cell = dict(zip(self.cells, top1))
        best = max(value for name, value in by_cell.items() if name != 'pixels')
        return {**by_cell, 'best': best}
