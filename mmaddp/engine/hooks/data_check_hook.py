"""Faults of labels and of batches that are found before they reach the loss."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from torch import nn

from mmaddp.models.inspection import unwrapped
from mmaddp.registry import HOOKS
from mmaddp.utils import UserError, shorten

_HEADS = ('decode_head', 'bbox_head', 'head')


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Check the labels of each batch against the model's ``num_classes``.

    A label out of range gives a wrong loss or metric or, on a GPU, fails an assertion in a kernel
    that names nothing. Semantic maps, classes of boxes and image labels are checked while still on
    the CPU.
    """

    priority = 'VERY_HIGH'
    _num_classes: int | None = None
    _ignored = -1
    _classes_of_weights: tuple[str, ...] = ()

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Note the classes that the weights were trained on."""
        self._classes_of_weights = classes_of((checkpoint.get('meta') or {}).get('dataset_meta'))

    def before_test(self, runner: Any) -> None:
        """Compare the classes of the weights and the data.

        Raises:
            UserError: Both have names, and they differ.
        """
        tested = classes_of_loader(runner.test_dataloader)
        check_same_classes(self._classes_of_weights, tested, 'the checkpoint', 'test_dataloader')
        self._remember(find_head(unwrapped(runner.model)))

    def before_train(self, runner: Any) -> None:
        """Find the model's number of classes, and compare it and the data.

        Raises:
            UserError: Training and evaluation number their classes differently, or BatchNorm would
                see a batch of one image.
        """
        # Weights to begin with may be of other classes.
        self._classes_of_weights = ()
        model = unwrapped(runner.model)
        check_last_batch(model, runner.train_dataloader)
        head, classes = find_head(model), classes_of_loader(runner.train_dataloader)
        # A probe, which is its own head, has no validation, but a test right after its training.
        evaluation = runner.test_loop if head is model else runner.val_loop
        if evaluation is not None:
            check_same_classes(classes, classes_of_loader(evaluation.dataloader))
        if head is not None and 0 < len(classes) < head.num_classes:
            print_log(
                f'the model has {head.num_classes} classes, and train_dataloader.dataset has '
                f'{len(classes)}: set num_classes of the head, or NUM_CLASSES, to {len(classes)}',
                'current',
                logging.WARNING,
            )
        self._remember(head)

    def _remember(self, head: nn.Module | None) -> None:
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
        for sample in flat(data_batch.get('data_samples') or ()):
            for labels, ignored, path, remedy in self._labels_of(sample):
                wrong = out_of_range(labels, self._num_classes, ignored)
                if wrong is not None:
                    raise UserError(
                        f'{path}: label {wrong} is not in 0..{self._num_classes - 1} '
                        f"of the model's {self._num_classes} classes: {remedy}"
                    )

    before_val_iter = before_test_iter = before_train_iter

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


def flat(samples: Iterable[Any]) -> Iterator[Any]:
    """Data samples; test-time augmentation has those of each view in a list."""
    for one in samples:
        yield from one if isinstance(one, (list, tuple)) else [one]


def classes_of(metainfo: Any) -> tuple[str, ...]:
    """The names of classes in a dataset's ``metainfo``; none where it has no names."""
    return tuple((metainfo or {}).get('classes') or ())


def classes_of_loader(dataloader: Any) -> tuple[str, ...]:
    """The names of the classes of a dataloader's data."""
    return classes_of(getattr(dataloader.dataset, 'metainfo', None))


def check_same_classes(
    trained: Sequence[str],
    evaluated: Sequence[str],
    training: str = 'train_dataloader.dataset',
    evaluation: str = 'evaluation',
) -> None:
    """Refuse data that number their classes differently.

    Raises:
        UserError: Names the classes of both.
    """
    if trained and evaluated and trained != evaluated:
        raise UserError(
            f'{training} has the {len(trained)} classes {shorten(trained)}, and '
            f'{evaluation} the {len(evaluated)} classes {shorten(evaluated)}: set the same '
            'metainfo.classes; for class folders take mmaddp.ImageFolder with classes_from'
        )


def check_last_batch(model: nn.Module, dataloader: Any) -> None:
    """Refuse a batch of one image, of whose features BatchNorm has no statistics.

    Raises:
        UserError: Names the option that leaves it out.
    """
    if not any(type(module) is nn.BatchNorm1d for module in model.modules()):
        return
    # Samplers without an end have no such number.
    length, size = getattr(dataloader.sampler, 'num_samples', 0), dataloader.batch_size
    if size and length % size == 1 and not dataloader.drop_last:
        raise UserError(
            f'{length} training images in batches of {size} leave a last batch of one image, '
            'which BatchNorm cannot normalize: give --cfg-options train_dataloader.drop_last=True'
        )


def find_head(model: nn.Module) -> nn.Module | None:
    """The module that says how many classes the model tells apart: the last of its heads.

    A model without such a head may say so itself, as probes do.
    """
    heads = [
        module
        for name, module in model.named_modules()
        if set(name.split('.')) & set(_HEADS) and isinstance(_classes(module), int)
    ]
    if not heads and isinstance(_classes(model), int):
        return model
    return heads[-1] if heads else None


def _classes(module: nn.Module) -> Any:
    return getattr(module, 'num_classes', None)


def out_of_range(labels: torch.Tensor, num_classes: int, ignored: int) -> int | None:
    """The first label that is neither in [0, num_classes) nor ``ignored``, or None."""
    wrong = labels[((labels < 0) | (labels >= num_classes)) & (labels != ignored)]
    return int(wrong.flatten()[0]) if wrong.numel() else None
