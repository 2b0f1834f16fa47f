"""MAGE, the token predictor: reliable tokens -> distributions of all tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.checkpoints import Loadable
from mmaddp.checkpoints.judge import Untold, size_of
from mmaddp.checkpoints.rules import Tensors
from mmaddp.registry import MODELS

from ..backbones.plain_vit import arch_from, resolve_arch
from ..layers import Block, TokenHead, Vocabulary, init_parameters


@MODELS.register_module()
class MAGE(Loadable):
    """MAGE's encoder and decoder over VQ tokens.

    Args:
        encoder: 'base', 'large', or a dict of ``embed_dims``, ``num_layers``, ``num_heads`` and
            optionally ``mlp_ratio``.
        decoder: The same for the decoder; None for that of the released models, 8 blocks as wide as
            the encoder, always with 16 heads.
        num_patches: N, positions of an image.
        num_embeddings: K, codes of the tokenizer.
        drop_rate: Dropout of the embeddings and in all blocks, in training.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes a released MAGE or ADDP file.
    """

    part = 'token_predictor'

    def __init__(
        self,
        encoder: str | dict = 'base',
        decoder: dict | None = None,
        num_patches: int = 256,
        num_embeddings: int = 1024,
        drop_rate: float = 0.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        encoder = resolve_arch(encoder)
        decoder = resolve_arch(decoder or dict(encoder, num_layers=8, num_heads=16))
        self.num_patches, self.vocabulary = num_patches, Vocabulary(num_embeddings)
        width, decoder_width = encoder['embed_dims'], decoder['embed_dims']
        self.token_embed = TokenEmbedding(len(self.vocabulary), 1 + num_patches, width, drop_rate)
        self.blocks = blocks(encoder, drop_rate)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.decoder_embed = nn.Linear(width, decoder_width)
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, 1 + num_patches, decoder_width))
        self.decoder_blocks = blocks(decoder, drop_rate)
        self.decoder_norm = nn.LayerNorm(decoder_width, eps=1e-6)
        self.head = TokenHead(decoder_width, width, len(self.vocabulary))

    @classmethod
    def settings_from(cls, state: Tensors) -> dict[str, Any] | None:
        """See :class:`Loadable`."""
        if not any(name.startswith('token_embed.') for name in state) or 'embed.weight' in state:
            return None
        encoder, decoder = arch_from(state), arch_from(state, 'decoder_blocks')
        default = dict(resolve_arch(encoder), num_layers=8, num_heads=Untold(1))
        is_default = resolve_arch(decoder) | dict(num_heads=Untold(1)) == default
        positions = size_of(state, (r'token_embed\.position\.weight', 0), (r'decoder_pos_embed', 1))
        entries = size_of(state, (r'token_embed\.word\.weight', 0), (r'head\.bias', 0))
        return dict(
            encoder=encoder,
            decoder=None if is_default else decoder,
            num_patches=positions - 1,
            num_embeddings=entries - len(Vocabulary(0)),
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The distribution ``q(z_bar_t-1 | z_t)`` of equation 4 (algorithm 1, line 7).

        Args:
            ids: (B, N) token ids; those at masked positions are ignored.
            mask: (B, N) bool, True where a token is unreliable and not seen.

        Returns:
            Probabilities (B, N, K).
        """
        return self.logits(ids, mask).float().softmax(-1)

    def logits(self, ids: Tensor, mask: Tensor, dropped: Tensor | None = None) -> Tensor:
        """Scores of the K codes at the N positions.

        Args:
            ids: (B, N) token ids; those at masked positions are ignored.
            mask: (B, N) bool, True where a token is masked.
            dropped: (B, N) bool, masked positions that the encoder skips in training, the same
                number in each row.

        Returns:
            (B, N, K).
        """
        entries = ids.masked_fill(mask, self.vocabulary.mask_entry)
        class_entry = entries.new_full((len(entries), 1), self.vocabulary.class_entry)
        x = self.token_embed(torch.cat([class_entry, entries], dim=1))  # (B, 1 + N, C)
        x = self.encode(x, dropped)  # (B, 1 + N, D)
        # Masked positions take the class token's features, as the released models were trained.
        hidden = F.pad(mask, (1, 0))
        x = torch.where(hidden[..., None], x[:, :1], x) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x, (1, x.shape[1]))
        # The embeddings score the outputs too, but learn as inputs only.
        codes = self.token_embed.word.weight[: self.vocabulary.num_codes].detach()
        return self.head(self.decoder_norm(x[:, 1:]), codes)

    def encode(self, x: Tensor, dropped: Tensor | None) -> Tensor:
        """The encoder's features, zero at dropped positions: (B, 1 + N, C) -> (B, 1 + N, D)."""
        if dropped is None:
            return self.encode_all(x)
        kept = ~F.pad(dropped, (1, 0))  # the class token always
        # Only the kept tokens pass through the blocks, then go back to their positions.
        seen = self.encode_all(x[kept].unflatten(0, (len(x), -1)))
        return seen.new_zeros(*kept.shape, seen.shape[-1]).masked_scatter(kept[..., None], seen)

    def encode_all(self, x: Tensor) -> Tensor:
        """The encoder's features of all tokens, as wide as the decoder: (B, L, C) -> (B, L, D)."""
        for block in self.blocks:
            x = block(x, (1, x.shape[1]))
        return self.decoder_embed(self.norm(x))

    def init_parameters(self) -> None:
        """Initialize the weights as MAE does."""
        init_parameters(self)


class TokenEmbedding(nn.Module):
    """BERT's embedding: vocabulary entry and position, then norm and dropout."""

    def __init__(
        self, vocab_size: int, num_positions: int, embed_dims: int, drop_rate: float
    ) -> None:
        super().__init__()
        self.word = nn.Embedding(vocab_size, embed_dims)
        self.position = nn.Embedding(num_positions, embed_dims)
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, entries: Tensor) -> Tensor:
        """(B, L) entries -> (B, L, C)."""
        return self.drop(self.norm(self.word(entries) + self.position.weight))


def blocks(arch: dict, drop_rate: float) -> nn.ModuleList:
    """Transformer blocks of the given sizes."""
    sizes = arch['embed_dims'], arch['num_heads'], arch['mlp_ratio'], drop_rate
    return nn.ModuleList(Block(*sizes) for _ in range(arch['num_layers']))
