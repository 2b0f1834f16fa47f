"""Images of what a pre-training does, at an interval."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import EMAHook, Hook
from PIL import Image
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torchvision.utils import make_grid

from mmaddp.engine.resumption import PositionedIndex, keep_random_state
from mmaddp.models.inspection import evaluating, unwrapped
from mmaddp.registry import HOOKS
from mmaddp.utils import atomic_write

FOLDER = 'visualizations'


@HOOKS.register_module()
class VisualizationHook(Hook):
    """Write the images of ``model.visualize`` to ``work_dir/visualizations`` and the visualizer.

    Does not change the training: random states and weights stay as they are. Uses the averaged
    weights if the run has MMEngine's ``EMAHook``. Skips sharded models, whose parts cannot run one
    by one.

    Args:
        interval: Iterations between two visualizations. The last iteration always has one.
        num_images: Training images, spread over the whole set, always the same with the same crop.
        seed: Seed of the noise in the images.
        **settings: Further arguments of the model's ``visualize``.
    """

    priority = 'LOW'

    def __init__(
        self, interval: int = 1000, num_images: int = 4, seed: int = 0, **settings: Any
    ) -> None:
        self.interval, self.num_images = interval, num_images
        self.settings = dict(settings, seed=seed)

    def before_train(self, runner: Any) -> None:
        """Check the settings, and warn if nothing will be visualized.

        Raises:
            TypeError: The model does not have one of the settings.
        """
        if isinstance(runner.model, FullyShardedDataParallel):
            runner.logger.warning('VisualizationHook skips sharded models')
            return
        # The first images may come hours later.
        inspect.signature(model_for_use(runner).visualize).bind(None, **self.settings)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Visualize at the interval."""
        due = self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        if due and not isinstance(runner.model, FullyShardedDataParallel):
            self.visualize(runner)

    @master_only
    def visualize(self, runner: Any) -> None:
        """Write all images."""
        model = model_for_use(runner)
        with keep_random_state(), evaluating(model), torch.no_grad():
            inputs = self._inputs(model, runner.train_dataloader.dataset)
            for name, images, columns in model.visualize(inputs, **self.settings):
                self._write(runner, name, images, columns)

    def _inputs(self, model: nn.Module, dataset: Any) -> Tensor:
        """The batch of fixed training images as the model gets it: images or token ids."""
        count = min(self.num_images, len(dataset))
        indices = [number * len(dataset) // count for number in range(count)]
        samples = [dataset[PositionedIndex(index, epoch=0, draw=index)] for index in indices]
        inputs = model.data_preprocessor(pseudo_collate(samples))['inputs']
        return inputs if isinstance(inputs, Tensor) else torch.stack(inputs)

    def _write(self, runner: Any, name: str, images: Tensor, columns: int) -> None:
        step = runner.iter + 1
        grid = make_grid(images.float().clamp(0, 1), nrow=columns, pad_value=1.0)
        image = grid.mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
        with atomic_write(Path(runner.work_dir) / FOLDER / f'{name}_{step:08d}.png') as temporary:
            Image.fromarray(image).save(temporary, format='PNG')
        runner.visualizer.add_image(name, image, step)


def model_for_use(runner: Any) -> nn.Module:
    """The bare model, or its copy with averaged weights if the run keeps one."""
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            return hook.ema_model.module
    return unwrapped(runner.model)
