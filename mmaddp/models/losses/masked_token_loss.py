"""The objective of models that predict masked tokens."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def masked_token_loss(
    logits: Tensor, ids: Tensor, mask: Tensor, label_smoothing: float = 0.1
) -> Tensor:
    """Cross entropy at masked positions, MAGE's equation 1.

    Args:
        logits: (B, N, K), scores of the codes.
        ids: (B, N), the tokens.
        mask: (B, N) bool, True where masked.
        label_smoothing: Share of the target that is spread over all K codes.

    Returns:
        The mean over all masked positions of the batch.
    """
    return F.cross_entropy(logits[mask].float(), ids[mask], label_smoothing=label_smoothing)
