"""Top-1 accuracy among the classes that a test set has."""

from __future__ import annotations

from collections.abc import Sequence

from mmpretrain.evaluation import Accuracy

from mmaddp.registry import METRICS
from mmaddp.utils import UserError


@METRICS.register_module()
class SubsetAccuracy(Accuracy):
    """Top-1 accuracy in percent; a prediction is the best of the test set's own classes.

    The authors of ImageNet-A and -R evaluate classifiers of 1,000 classes on the 200 classes of
    their sets this way. On a set with all classes this is plain top-1 accuracy.

    Args:
        class_indices: The classes that a prediction is chosen from. None takes those of the data
            set's meta information (:class:`mmaddp.datasets.ImageNetVariant`).
        collect_device: As for :class:`mmpretrain.evaluation.Accuracy`.
        prefix: As for :class:`mmpretrain.evaluation.Accuracy`.

    Raises:
        UserError: The model scores another number of classes than the data set has names for.
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
        """Keep the label predicted among the classes, and the true one, of each image."""
        super().process(data_batch, [self._restrict(sample) for sample in data_samples])

    def _restrict(self, sample: dict) -> dict:
        scores = sample['pred_score'].cpu()
        self._check_num_classes(len(scores))
        indices = scores.new_tensor(self._subset()).long()
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
