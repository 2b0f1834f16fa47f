"""Initial weights of transformers."""

from __future__ import annotations

from torch import nn


def init_parameters(module: nn.Module) -> None:
    """Initialize as MAE, MAGE and ADDP do.

    Linear layers are Xavier-uniform with biases of zero. Tables of embeddings, positions and
    special tokens, the parameters of shape (1, L, C), are normal with a std of 0.02.

    Args:
        module: Modified in-place; norms keep their initial values.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, std=0.02)
    # Positions and special tokens, (1, L, C).
    for parameter in module.parameters():
        if parameter.ndim == 3:
            nn.init.normal_(parameter, std=0.02)
