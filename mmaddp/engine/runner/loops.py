"""Training loops that go on in the middle without loading what was trained on already."""

from __future__ import annotations

from typing import Any

from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterLoop
from torch.utils.data import DataLoader

from mmaddp.engine.data import skip_batches
from mmaddp.registry import LOOPS
from mmaddp.utils import UserError


class EndlessBatches:
    """Batches of epoch after epoch, from iteration ``start`` on.

    MMEngine's loop advances its iterator by the iterations that are done already: version 0.10.7
    asks for that many batches, later ones call ``skip_iter``. Both find here that there is nothing
    to wait for, since the samplers seek to ``start`` by themselves.

    Args:
        dataloader: A dataloader whose samplers can skip.
        start: Iterations that are done already.
    """

    def __init__(self, dataloader: DataLoader, start: int) -> None:
        self._dataloader = dataloader
        self._start = start
        self._advances_to_come = start
        self._epoch = 0
        self._batches: Any = None

    def skip_iter(self, count: int) -> None:
        """Advance by iterations that are done already."""
        self._advances_to_come -= count

    def __iter__(self) -> EndlessBatches:
        return self

    def __next__(self) -> Any:
        if self._advances_to_come > 0:
            self._advances_to_come -= 1
            return None
        if self._batches is None:
            self._batches = self._seek()
        try:
            return next(self._batches)
        except StopIteration:
            return self._first_of_next_epoch()

    def _seek(self) -> Any:
        to_skip = self._start
        while to_skip:
            skipped = skip_batches(self._dataloader, to_skip)
            if skipped == to_skip:
                break
            if skipped == 0:
                raise self._no_batch()
            to_skip -= skipped
            self._next_epoch()
        return iter(self._dataloader)

    def _first_of_next_epoch(self) -> Any:
        self._next_epoch()
        self._batches = iter(self._dataloader)
        try:
            return next(self._batches)
        except StopIteration:
            raise self._no_batch() from None

    def _next_epoch(self) -> None:
        self._epoch += 1
        batch_sampler = self._dataloader.batch_sampler
        getattr(batch_sampler, 'set_epoch', batch_sampler.sampler.set_epoch)(self._epoch)

    @staticmethod
    def _no_batch() -> UserError:
        return UserError(
            'train_dataloader gives no batch: it has fewer images than batch_size and drop_last'
        )


def _validate_end(runner: Any) -> None:
    """Validate a training that was resumed at its end.

    The last checkpoint is written before the last validation, which a kill may have cut off.
    """
    if runner.val_loop is not None:
        runner.val_loop.run()


@LOOPS.register_module()
class IterBasedTrainLoop(MMEngineIterLoop):
    """MMEngine's loop over iterations, which resumes at once at any iteration."""

    def run(self) -> Any:
        """Train from the current iteration to the last."""
        if hasattr(self.dataloader.sampler, 'skip') or hasattr(
            self.dataloader.batch_sampler, 'skip'
        ):
            self.fast_forward_on_resume = False
            self.dataloader_iterator = EndlessBatches(self.dataloader, self._iter)
        at_end = self._iter >= self._max_iters
        model = super().run()
        if at_end:
            _validate_end(self.runner)
        return model


@LOOPS.register_module()
class EpochBasedTrainLoop(MMEngineEpochLoop):
    """MMEngine's loop over epochs, which also resumes inside an epoch."""

    def run(self) -> Any:
        """Train from the current epoch to the last."""
        at_end = self._epoch >= self._max_epochs
        model = super().run()
        if at_end:
            _validate_end(self.runner)
        return model

    def run_epoch(self) -> None:
        """Train what is left of the current epoch."""
        done = self._iter - self._epoch * len(self.dataloader)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        if done > 0:
            skip_batches(self.dataloader, done)
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
