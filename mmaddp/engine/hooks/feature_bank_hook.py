"""The size of a probe's bank of features, told before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmaddp.models.inspection import unwrapped
from mmaddp.registry import HOOKS


@HOOKS.register_module()
class FeatureBankHook(Hook):
    """Tells what the features of all images will take, and stops where the disk has less."""

    def before_train(self, runner: Any) -> None:
        """Measure one image of each set."""
        model = unwrapped(runner.model)
        sets = [runner.train_dataloader.dataset, runner.test_dataloader.dataset]
        check_bank(model, sets)


def check_bank(model: Any, datasets: Sequence[Any]) -> None:
    """Tell the size of a model's bank.

    Args:
        model: A :class:`mmaddp.models.GridProbe` with a bank.
        datasets: The training set and the test set. All images are taken to be as large as the
            first.

    Raises:
        UserError: The disk has less space left.
    """
    total = 0
    for dataset, times, training in zip(datasets, (model.bank.views, 1), (True, False)):
        batch = model.data_preprocessor(pseudo_collate([dataset[0]]), training)
        total += times * len(dataset) * model.bank_bytes(batch['inputs'])
    print_log(model.bank.check_space(total), 'current')
