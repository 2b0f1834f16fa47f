"""Adaptive LayerNorm of the diffusion transformer (adaLN-Zero).

The condition is one vector per image, or one for all, after its SiLU. A linear layer turns it into
shifts and scales after the norms, and gates of the branches. All start at zero, so a block starts
as the identity.
"""

from __future__ import annotations

from functools import partial

import torch
from timm.layers import Mlp
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention


class AdaptiveBlock(nn.Module):
    """Attention and MLP, each with a norm and a gate set by the condition.

    Args:
        embed_dims: Channels C of a token and of the condition.
        num_heads: Attention heads.
        mlp_ratio: Width of the MLP over C.
    """

    def __init__(self, embed_dims: int, num_heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1 = norm_without_parameters(embed_dims)
        self.attn = Attention(embed_dims, num_heads)
        self.norm2 = norm_without_parameters(embed_dims)
        self.mlp = Mlp(
            embed_dims,
            int(embed_dims * mlp_ratio),
            act_layer=partial(nn.GELU, approximate='tanh'),
        )
        self.modulation = nn.Linear(embed_dims, 6 * embed_dims)

    def forward(self, x: Tensor, grid: tuple[int, int], condition: Tensor) -> Tensor:
        """Transform a sequence.

        Args:
            x: (B, N, C).
            grid: (h, w) with h * w = N.
            condition: (B or 1, C).

        Returns:
            As ``x``.
        """
        # (B or 1, 6 C) -> 6 times (B or 1, 1, C)
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(condition)[
            :, None
        ].chunk(6, dim=-1)
        # x + gate * f(norm(x) (1 + scale) + shift)
        x = x + gate * self.attn(modulate(self.norm1(x), shift, scale), grid)
        return x + mlp_gate * self.mlp(modulate(self.norm2(x), mlp_shift, mlp_scale))


class AdaptiveHead(nn.Module):
    """Linear layer from tokens to the values of their patches, after an adaptive norm.

    Args:
        embed_dims: Channels C of a token and of the condition.
        patch_dims: P, values of a patch.
    """

    def __init__(self, embed_dims: int, patch_dims: int) -> None:
        super().__init__()
        self.norm = norm_without_parameters(embed_dims)
        self.modulation = nn.Linear(embed_dims, 2 * embed_dims)
        self.proj = nn.Linear(embed_dims, patch_dims)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Values of all patches: (B, N, C) and (B or 1, C) -> (B, N, P)."""
        shift, scale = self.modulation(condition)[:, None].chunk(2, dim=-1)
        return self.proj(modulate(self.norm(x), shift, scale))


class TimestepEmbed(Mlp):
    """Timesteps as vectors: an MLP over their sines and cosines.

    Args:
        embed_dims: Channels C of the result.
        num_waves: Sines, and as many cosines.
    """

    def __init__(self, embed_dims: int, num_waves: int = 128) -> None:
        super().__init__(2 * num_waves, embed_dims, embed_dims, act_layer=nn.SiLU)
        self.num_waves = num_waves

    def forward(self, timesteps: Tensor) -> Tensor:
        """Embed timesteps: (B,), integers or fractions -> (B, C)."""
        # Frequencies from 1 to nearly 1 / 10,000, cosines first.
        exponents = torch.arange(self.num_waves, device=timesteps.device) / self.num_waves
        angles = timesteps[:, None].float() * 1e4**-exponents
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
        return super().forward(waves.to(self.fc1.weight.dtype))


class ConditionEmbed(nn.Module):
    """Embedding of timesteps and classes.

    Args:
        embed_dims: Channels C of the condition.
        num_classes: K, classes besides the null class.
    """

    def __init__(self, embed_dims: int, num_classes: int) -> None:
        super().__init__()
        self.time = TimestepEmbed(embed_dims)
        self.label = nn.Embedding(num_classes + 1, embed_dims)

    def forward(self, timesteps: Tensor, labels: Tensor | None = None) -> Tensor:
        """The condition of all norms.

        Args:
            timesteps: (B,).
            labels: (B,), 0 to K, where K is the null class; the null class for all when None.

        Returns:
            (B, C), after its SiLU.
        """
        # The last entry is the null class.
        classes = self.label.weight[-1] if labels is None else self.label(labels)
        return F.silu(self.time(timesteps) + classes)


def norm_without_parameters(embed_dims: int) -> nn.LayerNorm:
    """A LayerNorm whose scale and shift come from elsewhere."""
    return nn.LayerNorm(embed_dims, eps=1e-6, elementwise_affine=False)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Shift and scale normalized tokens (B, N, C) by (B or 1, 1, C) each."""
    return x * (1 + scale) + shift
