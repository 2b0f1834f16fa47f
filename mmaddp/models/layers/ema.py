"""The moving average of the weights that diffusion models generate with."""

from __future__ import annotations

import torch
from mmengine.model import ExponentialMovingAverage
from torch import Tensor

from mmaddp.registry import MODELS


@MODELS.register_module()
class RisingEMA(ExponentialMovingAverage):
    """An exponential moving average that forgets the first steps, for MMEngine's ``EMAHook``.

    The decay at update n = 0, 1, .. is ``min(1 - momentum, 1 - (1 + n)^(-2/3))``, as in the library
    ema_pytorch, which DDAE's authors use. With a fixed decay of 0.9999 the average would keep more
    than a third of the random weights after ten thousand steps.

    Args:
        model: The model to average.
        momentum: 1 - the largest decay: 1e-4 for the authors' 0.9999.
        interval: Steps from one update to the next.
        device: Where the average is kept; the model's when None.
        update_buffers: Average the buffers too.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        momentum: float = 1e-4,
        interval: int = 1,
        device: torch.device | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, momentum, interval, device, update_buffers)

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: Tensor) -> None:
        """Move one averaged tensor in-place toward its source; ``steps`` counts the updates."""
        # 1 - decay: 0.63 at the second update, 0.01 after a thousand.
        momentum = max(self.momentum, (1 + steps.item()) ** (-2 / 3))
        averaged_param.lerp_(source_param, momentum)
