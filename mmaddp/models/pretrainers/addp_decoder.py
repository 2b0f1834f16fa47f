"""ADDP's decoder: features of x_t and reliable tokens -> scores of all tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmaddp.checkpoints import Loadable
from mmaddp.checkpoints.judge import size_of
from mmaddp.checkpoints.rules import Tensors
from mmaddp.diffusion.mask_schedule import equal_count
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from ..backbones.plain_vit import arch_from
from ..layers import Block, TokenHead, Vocabulary, init_parameters


@MODELS.register_module()
class ADDPDecoder(Loadable):
    """Transformer over encoder features, mask embeddings and reliable tokens (equation 2).

    The sequence has 1 + N + R entries: a class position that always holds the mask embedding; N
    patch positions with the encoder's feature or, where masked, the mask embedding; and R reliable
    tokens. Each kind has its own learned positions (appendix D.2).

    Args:
        embed_dims: D, channels of a token.
        num_layers: Blocks.
        num_heads: Attention heads.
        mlp_ratio: Width of the MLPs over D.
        drop_rate: Dropout in all blocks; ADDP pre-trains with 0.1.
        in_channels: C, channels of the encoder's features; D when None.
        num_patches: N, positions of an image.
        num_embeddings: K, codes of the tokenizer.
        token_input: Whether reliable tokens are fed in; table 5's last row has none.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes an ADDP file, the authors' or
            one of ours.
    """

    part = 'decoder'

    def __init__(
        self,
        embed_dims: int = 768,
        num_layers: int = 8,
        num_heads: int = 16,
        mlp_ratio: float = 4.0,
        drop_rate: float = 0.0,
        in_channels: int | None = None,
        num_patches: int = 256,
        num_embeddings: int = 1024,
        token_input: bool = True,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        in_channels = in_channels or embed_dims
        self.embed_dims, self.num_patches = embed_dims, num_patches
        self.token_input, self.with_cp = token_input, with_cp
        self.vocabulary = Vocabulary(num_embeddings)
        positions = 1, 1 + num_patches, embed_dims
        self.embed = nn.Linear(in_channels, embed_dims)
        self.mask_embed = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.token_embed = nn.Embedding(len(self.vocabulary), embed_dims)
        self.pixel_pos_embed = nn.Parameter(torch.zeros(positions))
        self.mask_pos_embed = nn.Parameter(torch.zeros(positions))
        if token_input:
            self.token_pos_embed = nn.Parameter(torch.zeros(positions))
        self.blocks = nn.ModuleList(
            Block(embed_dims, num_heads, mlp_ratio, drop_rate) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.head = TokenHead(embed_dims, embed_dims, len(self.vocabulary))

    @classmethod
    def settings_from(cls, state: Tensors) -> dict[str, Any] | None:
        """See :class:`Loadable`."""
        if not any(name in ('pixel_pos_embed', 'mask_pos_embed') for name in state):
            return None
        arch = arch_from(state, named={})
        entries = size_of(state, (r'token_embed\.weight', 0), (r'head\.bias', 0))
        positions = size_of(state, (r'(pixel|mask|token)_pos_embed', 1))
        return dict(
            mlp_ratio=arch.pop('mlp_ratio', 4.0),
            **arch,
            in_channels=size_of(state, (r'embed\.weight', 1)),
            num_patches=positions - 1,
            num_embeddings=entries - len(Vocabulary(0)),
            token_input='token_pos_embed' in state,
        )

    def forward(
        self,
        features: Tensor | None,
        ids: Tensor,
        mask: Tensor,
        wanted: Tensor | None = None,
        num_entries: int | None = None,
    ) -> Tensor:
        """Score the vocabulary at every position, ``Decoder(e_t (1 - m_t) + e_mask m_t)``.

        Args:
            features: (B, N, C), the encoder's features; None if all positions are masked.
            ids: (B, N) token ids, ignored at masked positions.
            mask: (B, N) bool, True where m_t = 1, the same number in each row.
            wanted: (B, N) bool, the positions to score; all when None.
            num_entries: How many entries to score, the codes first; all when None.

        Returns:
            Logits (B, N, V), 0 where they are not wanted.

        Raises:
            UserError: Rows of ``mask`` mask different numbers of positions.
        """
        wanted = torch.ones_like(mask) if wanted is None else wanted
        x = self.embed_positions(features, mask)  # (B, 1 + N, D)
        if self.token_input:
            x = torch.cat([x, self.embed_tokens(ids, mask)], dim=1)  # (B, 1 + N + R, D)
        for block in self.blocks[:-1]:
            x = self.run(block, x)
        # Class position and reliable tokens leave no output.
        outputs = F.pad(wanted, (1, x.shape[1] - 1 - mask.shape[1]))
        x = self.norm(self.run(self.blocks[-1], x, outputs))  # (M, D), the M wanted positions
        # The table learns as an input; without token input it learns from the scores instead.
        vocabulary = self.token_embed.weight[:num_entries]
        logits = self.head(x, vocabulary.detach() if self.token_input else vocabulary)
        # (M, V) -> (B, N, V)
        return logits.new_zeros(*mask.shape, len(vocabulary)).masked_scatter(
            wanted[..., None], logits
        )

    def embed_positions(self, features: Tensor | None, mask: Tensor) -> Tensor:
        """Class position and patch positions: (B, N, C), (B, N) -> (B, 1 + N, D)."""
        x = (self.mask_embed + self.mask_pos_embed[:, 1:]).expand(len(mask), -1, -1)
        # e_t (1 - m_t) + e_mask m_t, each with positions of its own.
        if features is not None:
            seen = self.embed(features) + self.pixel_pos_embed[:, 1:]
            x = torch.where(mask[..., None], x.to(seen), seen)
        # The class position uses the pixel table, as in the released weights.
        first = (self.mask_embed + self.pixel_pos_embed[:, :1]).expand(len(mask), -1, -1)
        return torch.cat([first.to(x), x], dim=1)

    def embed_tokens(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The reliable tokens of each image in raster order: (B, N), (B, N) -> (B, R, D)."""
        return embed_reliable(self.token_embed, self.token_pos_embed, ids, mask)

    def check_width(self, width: int) -> None:
        """Refuse features of another width than the decoder takes.

        Raises:
            UserError: Names the setting that fits.
        """
        if width != self.embed.in_features:
            raise UserError(
                f'the encoder gives {width} channels, the decoder takes {self.embed.in_features}: '
                f'set decoder.in_channels={width}'
            )

    def init_parameters(self) -> None:
        """Initialize the weights as MAE does."""
        init_parameters(self)

    def run(self, block: Block, x: Tensor, wanted: Tensor | None = None) -> Tensor:
        """One block, (B, L, D) -> (B, L, D), or (M, D) of the wanted positions (B, L)."""
        grid = (1, x.shape[1])
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(block, x, grid, wanted, use_reentrant=False)
        return block(x, grid, wanted)


def embed_reliable(table: nn.Embedding, positions: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Embed the tokens that are not masked, in raster order.

    Args:
        table: V vocabulary entries of D channels.
        positions: (1, 1 + N, D), the class position first.
        ids: (B, N).
        mask: (B, N) bool, True where masked.

    Returns:
        (B, R, D), R the number of positions that are not masked.

    Raises:
        UserError: Rows of ``mask`` mask different numbers of positions.
    """
    # Without this check, rows of different length would be cut at the wrong tokens.
    num_reliable = equal_count(~mask)
    positions = positions[:, 1:].expand(len(ids), -1, -1)[~mask]
    # (B * R, D) -> (B, R, D)
    return (table(ids[~mask]) + positions).unflatten(0, (len(ids), num_reliable))
