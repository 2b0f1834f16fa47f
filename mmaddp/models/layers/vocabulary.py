"""The vocabulary of VQ tokens, and the head that scores its entries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# MAGE's vocabulary reserves ImageNet's classes and uses a fixed one for its class token.
NUM_CLASS_ENTRIES = 1000
CLASS_ENTRY_OFFSET = 76


@dataclass(frozen=True)
class Vocabulary:
    """K codes, then 1000 classes, then the mask: 2025 entries with MAGE's 1024 codes.

    Args:
        num_codes: K.
    """

    num_codes: int = 1024

    def __len__(self) -> int:
        return self.num_codes + NUM_CLASS_ENTRIES + 1

    @property
    def class_entry(self) -> int:
        """The entry at MAGE's class position, whatever the class: 1100."""
        return self.num_codes + CLASS_ENTRY_OFFSET

    @property
    def mask_entry(self) -> int:
        """The entry of masked positions: 2024."""
        return len(self) - 1


class TokenHead(nn.Module):
    """Scores of vocabulary entries by their embeddings, as in BERT.

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
        """Score the first n entries.

        Args:
            x: (..., D).
            embeddings: (n, C), those of the entries.

        Returns:
            Logits (..., n).
        """
        # (..., D) -> (..., C), then a product with each entry's embedding
        return F.linear(self.norm(F.gelu(self.fc(x))), embeddings, self.bias[: len(embeddings)])
