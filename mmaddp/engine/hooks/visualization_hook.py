"""Pictures of a pre-training at an interval, whatever they are of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from PIL import Image
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torchvision.utils import make_grid

from mmaddp.engine.resumption import PositionedIndex, keep_random_state
from mmaddp.models.inspection import evaluating
from mmaddp.utils import atomic_write

FOLDER = 'visualizations'


class VisualizationHook(Hook, ABC):
    """Draw grids of pictures at an interval, into ``work_dir/visualizations`` and the visualizer.

    The training goes on as if nothing had been drawn: no generator moves, no weight is exchanged.
    Where the run averages its weights, by MMEngine's ``EMAHook``, it is the average that is drawn,
    as it is what is saved for use. The parts of a sharded model cannot be run one by one, so that
    nothing is drawn of it.

    Args:
        interval: Iterations between two drawings; the last iteration is drawn too.
        num_images: Training images, spread over the whole set, always the same with the same crop.
        seed: Seed of what is random in the pictures.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 1000, num_images: int = 4, seed: int = 0) -> None:
        self.interval, self.num_images, self.seed = interval, num_images, seed

    @abstractmethod
    def pictures(self, model: nn.Module, inputs: Tensor) -> Iterator[tuple[str, Tensor, int]]:
        """The grids.

        Args:
            model: The bare model, in evaluation mode.
            inputs: The training images, as the model gets them.

        Yields:
            The name of a grid, its images (M, 3, H, W) in [0, 1], which are clamped, and its number
            of columns.
        """

    def before_train(self, runner: Any) -> None:
        """Say so where nothing can be drawn."""
        if isinstance(runner.model, FullyShardedDataParallel):
            runner.logger.warning(f'{type(self).__name__} draws nothing of a sharded model')

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Draw at the interval."""
        due = self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        if due and not isinstance(runner.model, FullyShardedDataParallel):
            self.draw(runner)

    @master_only
    def draw(self, runner: Any) -> None:
        """Draw all grids."""
        model = model_for_use(runner)
        with keep_random_state(), evaluating(model), torch.no_grad():
            inputs = self._inputs(model, runner.train_dataloader.dataset)
            for name, images, columns in self.pictures(model, inputs):
                self._write(runner, name, images, columns)

    def _inputs(self, model: nn.Module, dataset: Any) -> Tensor:
        """The batch of fixed training images, as the model gets it: images or token ids."""
        count = min(self.num_images, len(dataset))
        indices = [number * len(dataset) // count for number in range(count)]
        samples = [dataset[PositionedIndex(index, epoch=0, draw=index)] for index in indices]
        inputs = model.data_preprocessor(pseudo_collate(samples))['inputs']
        return inputs if isinstance(inputs, Tensor) else torch.stack(inputs)

    def _write(self, runner: Any, name: str, images: Tensor, columns: int) -> None:
        step = runner.iter + 1
        grid = make_grid(images.float().clamp(0, 1), nrow=columns, pad_value=1.0)
        picture = grid.mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
        with atomic_write(Path(runner.work_dir) / FOLDER / f'{name}_{step:08d}.png') as temporary:
            Image.fromarray(picture).save(temporary, format='PNG')
        runner.visualizer.add_image(name, picture, step)


def model_for_use(runner: Any) -> nn.Module:
    """The bare model, or the copy of it that has the averaged weights where the run keeps one."""
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            return hook.ema_model.module
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
