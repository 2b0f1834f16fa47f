"""Distributions of noise levels in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import check_range


@TASK_UTILS.register_module()
@dataclass(frozen=True)
class BetaNoise:
    """Noise levels gamma ~ Beta(a, b), DARL's section 3.3 and figure 2.

    gamma = 1 is the clean patch, gamma = 0 pure noise. Beta(1, 1) is uniform; the paper's a = 0.03
    gives mostly noise. Another registered distribution needs :meth:`sample`.

    Args:
        a: Smaller values mean more noise.
        b: Smaller values mean less noise.

    Raises:
        UserError: ``a`` or ``b`` is negative or not finite.
    """

    a: float = 0.03
    b: float = 1.0

    def __post_init__(self) -> None:
        for name in ('a', 'b'):
            check_range(f'noise.{name}', getattr(self, name), 0)

    def sample(
        self,
        shape: Sequence[int],
        device: torch.device | str = 'cpu',
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sample independent levels.

        Args:
            shape: Shape of the result.
            device: Device to sample on.
            generator: A generator of that device; PyTorch's global one when None.

        Returns:
            gamma in [0, 1], both ends included, float32.
        """
        # X / (X + Y) of two Gamma variates is Beta. With a = 0.03 one X in fourteen is below the
        # smallest float32, and both may be; their logarithms are finite.
        log_x, log_y = (
            log_gamma_variates(one, shape, device, generator) for one in (self.a, self.b)
        )
        return torch.sigmoid(log_x - log_y).float()


def log_gamma_variates(
    concentration: float,
    shape: Sequence[int],
    device: torch.device | str,
    generator: torch.Generator | None,
) -> Tensor:
    """Logarithms of variates of Gamma(a, 1), float64, exact for small a too."""
    # X U^(1/a) ~ Gamma(a) for X ~ Gamma(a + 1) and U uniform (Marsaglia and Tsang, 2000).
    # torch.distributions uses the same function, but takes no generator.
    concentrations = torch.full(tuple(shape), concentration + 1, device=device, dtype=torch.float64)
    x = torch._standard_gamma(concentrations, generator=generator)
    uniform = torch.rand(tuple(shape), device=device, dtype=torch.float64, generator=generator)
    # 1 - U is uniform too, and never 0.
    return x.log() + torch.log1p(-uniform) / concentration
