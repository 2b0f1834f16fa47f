"""Top-1 accuracy among the classes of a test set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmpretrain.evaluation import Accuracy

from mmaddp.registry import METRICS
from mmaddp.utils import UserError


@METRICS.register_module()
class SubsetAccuracy(Accuracy):
    """Top-1 accuracy in percent, with predictions limited to the test set's own classes.

    The authors of ImageNet-A and -R evaluate classifiers of 1,000 classes on their 200 classes this
    way. On a set with all classes it is plain top-1 accuracy.

    Args:
        class_indices: Classes to choose from. None takes those of the data set's meta information
            (:class:`mmaddp.datasets.ImageNetVariant`).
        collect_device: As for :class:`mmpretrain.evaluation.Accuracy`.
        prefix: As for :class:`mmpretrain.evaluation.Accuracy`.

    Raises:
        UserError: The model has another number of classes than the data set has names.
    """

    def __init__(
        self,
        class_indices: Sequence[int] | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(topk=1, collect_device=collect_device, prefix=prefix)
        self.class_indices = class_indices

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Record each image's predicted label among the classes and its true label."""
        super().process(data_batch, [self._restrict(sample) for sample in data_samples])

    def _restrict(self, sample: dict) -> dict:
        scores = sample['pred_score'].cpu()
        self._check_num_classes(len(scores))
        # Scores (1000,) -> the best of the set's own classes, as an index of the 1,000
        indices = torch.tensor(self._subset(), dtype=torch.long)
        best = scores[indices].argmax(dim=0, keepdim=True)
        return {'pred_label': indices[best], 'gt_label': sample['gt_label']}

    def _subset(self) -> Sequence[int]:
        if self.class_indices is not None:
            return self.class_indices
        return self.dataset_meta['class_indices']

    def _check_num_classes(self, num_scores: int) -> None:
        names = (self.dataset_meta or {}).get('classes')
        if names is not None and len(names) != num_scores:
            raise UserError(
                f'the model scores {num_scores} classes, the data set has {len(names)}: '
                f'evaluate a classifier of these {len(names)} classes'
            )
