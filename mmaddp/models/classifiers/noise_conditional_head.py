"""The head of a noise-conditional classifier."""

from __future__ import annotations

from torch import Tensor, nn

from ..layers.unet import sinusoids


class NoiseConditionalHead(nn.Module):
    """g(y | f + tau(t)), equation 5: two layers over features to which the level is added.

    As in the authors' code tau is an embedding of the head's own, as wide as the features: sines
    and cosines of a quarter as many channels, and a two-layer MLP. It is told the number of the
    level, t of 1 .. T for DDPM and of 1 .. 18 for EDM, not the network's time input.

    Args:
        channels: C of the features, a multiple of 8 and at least 16.
        num_classes: Classes.
        hidden_dims: Channels between the two layers; the authors' 2 C when None.

    Raises:
        ValueError: The sines and cosines do not come out even.
    """

    def __init__(self, channels: int, num_classes: int, hidden_dims: int | None = None) -> None:
        super().__init__()
        if channels % 8 or channels < 16:
            raise ValueError(f'{channels} channels: tau(t) needs a multiple of 8, at least 16')
        hidden_dims = hidden_dims or 2 * channels
        self.time_dims, self.num_classes = channels // 4, num_classes
        self.time_embed = nn.Sequential(
            nn.Linear(self.time_dims, channels), nn.SiLU(), nn.Linear(channels, channels)
        )
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden_dims), nn.SiLU(), nn.Linear(hidden_dims, num_classes)
        )

    def forward(self, features: Tensor, numbers: Tensor) -> Tensor:
        """Features (B, C) and the numbers of their levels (B,) -> logits (B, num_classes)."""
        return self.mlp(features + self.time_embed(sinusoids(numbers, self.time_dims)))
