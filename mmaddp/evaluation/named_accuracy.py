"""Top-1 accuracy of several predictions of each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmaddp.registry import METRICS


@METRICS.register_module()
class NamedAccuracy(BaseMetric):
    """Top-1 accuracy in percent of each prediction, by its name.

    Samples have ``pred_label_by_name``, a dict with the same names for all. The metrics are
    ``accuracy/NAME``, ``accuracy/best`` and ``accuracy/mean``. The best is chosen on the images
    that it is measured on.

    Args:
        controls: Names excluded from best and mean.
        collect_device: As for ``BaseMetric``.
        prefix: As for ``BaseMetric``.
    """

    default_prefix = 'accuracy'

    def __init__(
        self,
        controls: Sequence[str] = ('pixels',),
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.controls = controls

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Record which predictions of each image are right."""
        for sample in data_samples:
            self.names, predicted = zip(*sample['pred_label_by_name'].items())
            self.results.append(torch.tensor(predicted) == sample['gt_label'].cpu())

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        """The accuracy of each name, the best and the mean."""
        # (images, names) -> (names,)
        top1 = (100 * torch.stack(results).double().mean(dim=0)).tolist()
        return summarize_names(dict(zip(self.names, top1)), self.controls, max)


def summarize_names(
    values: Mapping[str, float], controls: Sequence[str], best: Callable
) -> dict[str, float]:
    """Values by name, with 'best' and 'mean' of those that are not controls."""
    # A control may have learning rates, 'pixels:0.1'.
    compared = [value for name, value in values.items() if name.split(':')[0] not in controls]
    return {**values, 'best': best(compared), 'mean': sum(compared) / len(compared)}
