"""Metrics of several dense predictions of each image, computed by MMSegmentation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmseg.evaluation import DepthMetric, IoUMetric
from torch import Tensor

from mmaddp.registry import METRICS

from .named_accuracy import summarize_names


class NamedMetric(BaseMetric):
    """Metrics of each prediction, by its name: ``METRIC/NAME``, ``METRIC/best``, ``METRIC/mean``.

    Attributes:
        prediction: Field of the samples with the predictions, a dict with the same names for all.
        rules: Metrics, and whether a 'greater' or a 'less' value is better.
        controls: Names excluded from best and mean.
    """

    prediction: str
    rules: dict[str, str]
    controls: Sequence[str] = ('pixels',)

    @abstractmethod
    def measure(self, predicted: Tensor, sample: dict) -> Tensor:
        """What one image adds to the metrics, on the CPU."""

    @abstractmethod
    def reduce(self, measured: Tensor) -> dict[str, float]:
        """The metrics of all images, whose measurements are stacked."""

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Measure the predictions of each image."""
        for sample in data_samples:
            predicted: Mapping[str, Tensor] = sample[self.prediction]
            self.names = list(predicted)
            self.results.append(
                torch.stack([self.measure(one, sample) for one in predicted.values()])
            )

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        """The metrics of each name, and of each metric the best value and the mean."""
        # (images, names, ...) -> for each name (images, ...)
        measured = torch.stack(results).unbind(1)
        by_name = {name: self.reduce(one) for name, one in zip(self.names, measured)}
        metrics = {}
        for metric, rule in self.rules.items():
            values = {name: one[metric] for name, one in by_name.items()}
            summary = summarize_names(values, self.controls, max if rule == 'greater' else min)
            metrics.update({f'{metric}/{name}': value for name, value in summary.items()})
        return metrics


@METRICS.register_module()
class NamedIoU(NamedMetric):
    """Mean IoU, mean class accuracy and pixel accuracy in percent of each label map.

    Args:
        ignore_index: Label of pixels that do not count.
        collect_device: As for ``BaseMetric``.
        prefix: As for ``BaseMetric``.
    """

    prediction = 'pred_sem_seg_by_name'
    rules = {'mIoU': 'greater', 'mAcc': 'greater', 'aAcc': 'greater'}

    def __init__(
        self, ignore_index: int = 255, collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        super().__init__(collect_device, prefix)
        self.ignore_index = ignore_index

    def measure(self, predicted: Tensor, sample: dict) -> Tensor:
        """Pixels (4, classes): intersection, union, predicted, labeled."""
        labels = sample['gt_sem_seg']['data'].squeeze().to(predicted)
        num_classes = len(self.dataset_meta['classes'])
        areas = IoUMetric.intersect_and_union(predicted, labels, num_classes, self.ignore_index)
        return torch.stack(areas).cpu()

    def reduce(self, measured: Tensor) -> dict[str, float]:
        """Metrics of the sum of all images."""
        areas = measured.double().sum(0)
        metrics = IoUMetric.total_area_to_metrics(*areas, metrics=['mIoU'])
        # Classes that never occur have no IoU.
        values = {
            'mIoU': metrics['IoU'],
            'mAcc': metrics['Acc'],
            'aAcc': metrics['aAcc'],
        }
        return {
            name: 100 * torch.as_tensor(value).nanmean().item() for name, value in values.items()
        }


@METRICS.register_module()
class NamedDepth(NamedMetric):
    """RMSE in meters, absolute relative error and delta_1 in [0, 1] of each depth map.

    As usual, each is the mean of all images' own. ``d1`` is the share of pixels whose ratio to the
    true depth, or its inverse, is less than 1.25.

    Args:
        min_depth_eval: Smaller true depths do not count.
        max_depth_eval: Larger true depths do not count.
        crop_type: 'nyu_crop' for Eigen's crop of NYU, None for whole images.
        collect_device: As for ``BaseMetric``.
        prefix: As for ``BaseMetric``.
    """

    prediction = 'pred_depth_map_by_name'
    rules = {'rmse': 'less', 'abs_rel': 'less', 'd1': 'greater'}

    def __init__(
        self,
        min_depth_eval: float = 1e-3,
        max_depth_eval: float = float('inf'),
        crop_type: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.metric = DepthMetric(
            min_depth_eval=min_depth_eval, max_depth_eval=max_depth_eval, crop_type=crop_type
        )

    def measure(self, predicted: Tensor, sample: dict) -> Tensor:
        """RMSE, absolute relative error and delta_1 of an image; NaN without a valid pixel."""
        true = sample['gt_depth_map']['data'].squeeze().to(predicted)
        counts = self.metric._get_eval_mask(true)
        if not counts.any():
            return torch.full((len(self.rules),), torch.nan)
        errors = self.metric._calc_all_metrics(true[counts], predicted[counts])
        return torch.tensor([errors[name] for name in self.rules])

    def reduce(self, measured: Tensor) -> dict[str, float]:
        """The mean of all images that have a depth."""
        return dict(zip(self.rules, measured.double().nanmean(0).tolist()))
