"""Keys and values of the tokens that a causal transformer has already seen."""

from __future__ import annotations

from torch import Tensor


class KVCache:
    """Keys and values of one block, in buffers as long as the whole sequence will be.

    A step then writes its own tokens' and copies none of the earlier ones'. It is for sampling,
    without gradients.

    Args:
        capacity: Tokens of the whole sequence.

    Attributes:
        length: Tokens that are held.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.length = capacity, 0
        self.buffers: tuple[Tensor, Tensor] | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take the next tokens' and give all so far.

        Args:
            keys: (B, heads, k, D), and ``values`` alike.

        Returns:
            Keys and values (B, heads, length, D), views of the buffers.

        Raises:
            ValueError: They are more than the sequence has places for.
        """
        length = self.length + keys.shape[2]
        if length > self.capacity:
            raise ValueError(
                f'{length} tokens do not fit a key-value cache of {self.capacity}: start a new one'
            )
        if self.buffers is None:
            # Only now are dtype (autocast's, perhaps) and device known.
            shape = (*keys.shape[:2], self.capacity, keys.shape[3])
            self.buffers = keys.new_empty(shape), values.new_empty(shape)
        held_keys, held_values = self.buffers
        held_keys[:, :, self.length : length] = keys
        held_values[:, :, self.length : length] = values
        self.length = length
        return held_keys[:, :, :length], held_values[:, :, :length]
