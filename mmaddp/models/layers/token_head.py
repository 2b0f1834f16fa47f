"""Scores of a vocabulary of VQ tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TokenHead(nn.Module):
    """A hidden layer scored against a table of word embeddings, as BERT predicts masked words.

    Args:
        in_channels: D, channels of a token in the decoder.
        embed_dims: C, channels of a word.
        vocab_size: V words.
    """

    def __init__(self, in_channels: int, embed_dims: int, vocab_size: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels, embed_dims)
        self.norm = nn.LayerNorm(embed_dims)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        """Score every word.

        Args:
            x: (B, N, D).
            words: (V, C), the embeddings of the words.

        Returns:
            Logits (B, N, V).
        """
        return F.linear(self.norm(F.gelu(self.fc(x))), words, self.bias)
