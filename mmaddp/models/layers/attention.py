"""Multi-head self-attention over a grid of tokens, through PyTorch's fused kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.utils import UserError

from .relative_attention import rel_pos_attention
from .rotary import apply_rotary


class KVCache:
    """Keys and values of one block for sampling, in buffers as long as the whole sequence.

    A step writes its own tokens and copies no earlier ones. There are no gradients.

    Args:
        capacity: Tokens of the whole sequence.

    Attributes:
        length: Tokens held so far.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.length = capacity, 0
        self.buffers: tuple[Tensor, Tensor] | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the next tokens and return all so far.

        Args:
            keys: (B, heads, k, D), and ``values`` alike.

        Returns:
            Keys and values (B, heads, length, D), views of the buffers.
        """
        length = self.length + keys.shape[2]
        if self.buffers is None:
            # Only now are device and dtype known; autocast changes the latter.
            shape = (*keys.shape[:2], self.capacity, keys.shape[3])
            self.buffers = keys.new_empty(shape), values.new_empty(shape)
        held_keys, held_values = self.buffers
        held_keys[:, :, self.length : length] = keys
        held_values[:, :, self.length : length] = values
        self.length = length
        return held_keys[:, :, :length], held_values[:, :, :length]


class Attention(nn.Module):
    """Self-attention of a plain vision transformer.

    Args:
        embed_dims: Channels C of a token.
        num_heads: Heads; must divide C.
        drop_rate: Dropout of the attention weights and of the output.
        rel_pos_size: (h, w) of the grid for decomposed relative positions; None for none. They
            allow no dropout, query stream, causal mask, rotary positions or cache.
        two_stream: Add a second query projection, for a query stream (DARL's appendix A.5).

    Raises:
        UserError: Dropout or a query stream together with relative positions.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        drop_rate: float = 0.0,
        rel_pos_size: tuple[int, int] | None = None,
        two_stream: bool = False,
    ) -> None:
        super().__init__()
        if rel_pos_size is not None and (drop_rate or two_stream):
            raise UserError(
                f'drop_rate={drop_rate}, two_stream={two_stream}: must be 0 and False with '
                'relative positions'
            )
        self.num_heads = num_heads
        self.head_dims = embed_dims // num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        if two_stream:
            self.query = nn.Linear(embed_dims, embed_dims)
        self.drop_rate, self.proj_drop = drop_rate, nn.Dropout(drop_rate)
        self.use_rel_pos = rel_pos_size is not None
        if rel_pos_size is not None:
            h, w = rel_pos_size
            # One entry for each offset from -(h - 1) to h - 1.
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * h - 1, self.head_dims))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * w - 1, self.head_dims))

    def forward(
        self,
        x: Tensor,
        grid: tuple[int, int],
        phases: Tensor | None = None,
        causal: bool = False,
        cache: KVCache | None = None,
        num_queries: int = 0,
    ) -> Tensor:
        """Attend within each sequence.

        Args:
            x: (B, N + M, C), N content tokens, then M tokens of a query stream.
            grid: (h, w) with h * w = N, for relative positions.
            phases: (N + M, D / 2) or (B, N + M, D / 2) complex, rotary positions of a head's D
                channels.
            causal: Let content see itself and earlier content only.
            cache: Keys and values of earlier content, to which this content's are appended.
            num_queries: M. No token sees a query. The last query sees all content, the one before
                it all but the last token, and so on.

        Returns:
            As ``x``.

        Raises:
            UserError: Relative positions together with what their kernel leaves out.
        """
        if self.use_rel_pos and (causal or phases is not None or cache is not None):
            raise UserError('relative positions allow no causal mask, rotary positions or cache')
        if num_queries:
            return self.merge_heads(self.two_streams(x, num_queries, phases, cache))
        q, k, v = self.project(x, phases)  # (B, heads, N, D) each
        if self.use_rel_pos:
            return self.merge_heads(
                rel_pos_attention(q, k, v, self.rel_pos_h, self.rel_pos_w, grid)
            )
        if cache is not None:
            # (B, heads, length, D), with the earlier content.
            k, v = cache.append(k, v)
        attend = causal_attention if causal else F.scaled_dot_product_attention
        return self.merge_heads(attend(q, k, v, dropout_p=self.dropout_p))

    @property
    def dropout_p(self) -> float:
        """Dropout of the attention weights in the present mode."""
        return self.drop_rate if self.training else 0.0

    def two_streams(
        self, x: Tensor, num_queries: int, phases: Tensor | None, cache: KVCache | None
    ) -> Tensor:
        """Causal attention of both streams to the content (DARL's appendix A.5).

        Arguments are those of :meth:`forward`.

        Returns:
            (B, heads, N + M, D).
        """
        sizes = [x.shape[1] - num_queries, num_queries]
        content, queries = x.split(sizes, dim=1)
        content_phases, query_phases = (
            (None, None) if phases is None else phases.split(sizes, dim=-2)
        )
        q, k, v = self.project(content, content_phases)
        if cache is not None:
            k, v = cache.append(k, v)
        # The query stream has its own projection, and no keys and values: no token sees it.
        asked = self.query(queries).unflatten(-1, (self.num_heads, self.head_dims))
        if query_phases is not None:
            asked = apply_rotary(asked, query_phases[..., None, :])
        streams = q, asked.transpose(1, 2)
        return torch.cat([causal_attention(s, k, v, self.dropout_p) for s in streams], dim=2)

    def project(self, x: Tensor, phases: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, heads, N, D) of (B, N, C), q and k rotated."""
        # (B, N, 3, heads, D)
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, self.head_dims))
        if phases is None:
            q, k, v = qkv.unbind(2)
        else:
            # Rotate q and k in one product.
            qk, v = qkv.split([2, 1], dim=2)
            q, k = apply_rotary(qk, phases[..., None, None, :]).unbind(2)
            v = v.squeeze(2)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def merge_heads(self, x: Tensor) -> Tensor:
        """Project the heads' outputs: (B, heads, N, D) -> (B, N, C)."""
        return self.proj_drop(self.proj(x.transpose(1, 2).flatten(2)))


def causal_attention(q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0) -> Tensor:
    """Attention in which no query sees keys after its own position, by the fused kernel.

    Args:
        q: (B, heads, M, D), for the last M positions of the sequence.
        k: (B, heads, N, D), for all N positions, and ``v`` alike.
        dropout_p: Dropout of the weights.

    Returns:
        (B, heads, M, D).
    """
    earlier = k.shape[2] - q.shape[2]
    if q.shape[2] == 1:
        # The last position sees all keys.
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p)
    # The kernel aligns the first query with the first key: pad queries for the earlier positions.
    q = F.pad(q, (0, 0, earlier, 0)) if earlier else q
    attended = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p, is_causal=True)
    return attended[:, :, earlier:]
