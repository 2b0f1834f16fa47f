"""Scores of a vocabulary of VQ tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TokenHead(nn.Module):
    """Scores of vocabulary entries against their embeddings, as in BERT.

    Args:
        in_channels: D, channels of a token in the decoder.
        embed_dims: C, channels of an embedding.
        vocab_size: V entries.
    """

    def __init__(self, in_channels: int, embed_dims: int, vocab_size: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels, embed_dims)
        self.norm = nn.LayerNorm(embed_dims)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, x: Tensor, embeddings: Tensor) -> Tensor:
        """Score every entry.

        Args:
            x: (B, N, D).
            embeddings: (V, C), those of the entries.

        Returns:
            Logits (B, N, V).
        """
        return F.linear(self.norm(F.gelu(self.fc(x))), embeddings, self.bias)
