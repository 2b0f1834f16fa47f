"""Frozen parts without weights and labels without a class, found before they reach the loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from mmaddp.engine.data import leaves
from mmaddp.registry import HOOKS
from mmaddp.utils import UserError

_HEADS = ('decode_head', 'bbox_head', 'head')


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Check the labels of each training batch against the model's ``num_classes``.

    Before the first one, a pre-training must have the weights of its frozen parts.

    A label out of range is a wrong loss or, on a GPU, an assertion in a kernel that names nothing.
    Semantic maps, classes of boxes and image labels are looked at; they are on the CPU still.
    """

    priority = 'VERY_HIGH'
    _num_classes: int | None = None
    _ignored = -1

    def before_train(self, runner: Any) -> None:
        """Find the model's number of classes, and let the dataset look at the model if it can.

        Raises:
            UserError: Nothing has filled a frozen part, or the dataset was made for another model.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if hasattr(model, 'check_filled'):
            model.check_filled()
        for part in leaves(runner.train_dataloader.dataset):
            if hasattr(part, 'check_model'):
                part.check_model(model)
        head = find_head(model)
        if head is not None:
            self._num_classes = head.num_classes
            self._ignored = getattr(head, 'ignore_index', -1)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Check the batch.

        Raises:
            UserError: A label is out of range; names the file, the label and the remedy.
        """
        if self._num_classes is None or not isinstance(data_batch, dict):
            return
        for sample in data_batch.get('data_samples') or ():
            for labels, ignored, path, remedy in self._labels_of(sample):
                wrong = out_of_range(labels, self._num_classes, ignored)
                if wrong is not None:
                    raise UserError(
                        f'{path}: label {wrong} is not in 0..{self._num_classes - 1} '
                        f"of the model's {self._num_classes} classes: {remedy}"
                    )

    def _labels_of(self, sample: Any) -> Iterator[tuple[torch.Tensor, int, str, str]]:
        image = sample.get('img_path', 'an image without a path')
        if 'gt_sem_seg' in sample:
            path = sample.get('seg_map_path', image)
            remedy = 'set num_classes of the heads, or reduce_zero_label of the data, to fit'
            yield sample.gt_sem_seg.data, self._ignored, path, remedy
        remedy = 'set num_classes of the head and metainfo.classes of the data to fit'
        if 'gt_instances' in sample and 'labels' in sample.gt_instances:
            yield sample.gt_instances.labels, -1, image, remedy
        if 'gt_label' in sample:
            yield torch.as_tensor(sample.gt_label), -1, image, remedy


def find_head(model: nn.Module) -> nn.Module | None:
    """The module that says how many classes the model tells apart: the last of its heads."""
    heads = [
        module
        for name, module in model.named_modules()
        if set(name.split('.')) & set(_HEADS) and isinstance(_classes(module), int)
    ]
    return heads[-1] if heads else None


def _classes(module: nn.Module) -> Any:
    return getattr(module, 'num_classes', None)


def out_of_range(labels: torch.Tensor, num_classes: int, ignored: int) -> int | None:
    """The first label that is neither in [0, num_classes) nor ``ignored``, or None."""
    wrong = labels[((labels < 0) | (labels >= num_classes)) & (labels != ignored)]
    return int(wrong.flatten()[0]) if wrong.numel() else None
