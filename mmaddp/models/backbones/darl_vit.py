"""DARL's decoder-only vision transformer: pre-training, sampling and dense features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.checkpoints import WeightRules
from mmaddp.checkpoints.judge import Untold
from mmaddp.checkpoints.rules import Tensors
from mmaddp.registry import MODELS
from mmaddp.utils import UserError, check_choice, check_multiples, refuse_if

from ..layers import (
    KVCache,
    SequencePositions,
    in_order,
    interpolate_pos_embed,
    inverse,
    patch_coordinates,
    patch_order,
    phase_factors,
    raster_coordinates,
    rotary_angles,
    sincos_pos_embed,
)
from .plain_vit import PlainViT, arch_from, patches_from, positions_from

COORDINATES = {'rope-2d': patch_coordinates, 'rope-1d': raster_coordinates}
POSITIONS = (*COORDINATES, 'sincos', 'learnable', 'none')


@MODELS.register_module()
class DARLViT(PlainViT):
    """Causal ViT of DARL, for pre-training (section 3.1) and as a dense backbone.

    The sequence is a start token, then the patches in some order. Pre-training
    (:meth:`predict_next`) is causal: each output predicts the next patch. Transfer
    (:meth:`forward`) takes all patches under a causal or a full mask. ``two_stream`` adds the query
    stream of appendix A.5.

    Args:
        arch: 'base', 'large', 'huge', or a dict of ``embed_dims``, ``num_layers``, ``num_heads``
            and optionally ``mlp_ratio`` (4).
        img_size: Input side in pixels.
        patch_size: Side of a patch in pixels.
        in_channels: Channels of the image.
        pretrain_img_size: Input side of the pre-training, ``img_size`` when None. Positions of
            other grids are interpolated from its grid.
        positions: A row of table 1: 'rope-2d' (section 3.4), 'rope-1d' over the raster order,
            'sincos' as in MAE, 'learnable' or 'none'.
        rope_base: Longest wavelength of rotary positions over 2 pi, in patches (appendix D).
        causal: Causal mask in :meth:`forward`.
        order: Order of a causal sequence: 'raster', 'nested-raster' or 'round-robin' (section 4.4).
        block_size: Side in patches of the blocks of ``order``.
        with_start_token: Prepend the start token, whose position is 0; False with windows.
        two_stream: Add a query token, and a query projection in each block, so that
            :meth:`predict_next` predicts in any order.
        final_norm: LayerNorm after the last block.
        window_size: Side in tokens of the attention windows; 0 makes all blocks global. Rotary
            positions then count within the window, as far apart as in pre-training (our choice).
        global_attn_indexes: Blocks that attend globally despite windows.
        drop_path_rate: Stochastic depth of the last block, rising linearly from 0 at the first.
        out_indices: See :class:`PlainViT`. The best block may lie in the middle (appendix B.1).
        frozen_stages: See :class:`PlainViT`.
        with_cp: See :class:`PlainViT`.
        frozen: See :class:`PlainViT`.
        lora: See :class:`PlainViT`.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``, see :meth:`load`.

    Attributes:
        grid: (h, w) of the pre-training.

    Raises:
        UserError: An unknown ``arch``, ``positions`` or ``order``; patches that do not fill the
            image; a causal mask or start token with windows; an index out of range.
    """

    prefix_token = 'start_token'
    transfer_settings = dict(two_stream=False)

    def __init__(
        self,
        arch: str | dict = 'base',
        img_size: int = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        pretrain_img_size: int | None = None,
        positions: str = 'rope-2d',
        rope_base: float = 1e4,
        causal: bool = False,
        order: str = 'raster',
        block_size: int = 1,
        with_start_token: bool = True,
        two_stream: bool = False,
        final_norm: bool = True,
        window_size: int = 0,
        global_attn_indexes: Sequence[int] = (),
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: dict | None = None,
        frozen: bool = False,
        lora: dict | None = None,
    ) -> None:
        if window_size and (causal or with_start_token):
            raise UserError(
                'windows allow neither a causal mask nor a start token: set causal=False and '
                'with_start_token=False'
            )
        check_choice('positions', positions, POSITIONS)
        super().__init__(
            arch,
            patch_size,
            in_channels,
            int(with_start_token),
            out_indices,
            frozen_stages,
            with_cp,
            init_cfg,
            frozen,
            lora,
        )
        self.positions, self.rope_base = positions, rope_base
        self.causal, self.two_stream = causal, two_stream
        self.order, self.block_size = order, block_size
        self.patch_size = patch_size
        self.head_dims = self.embed_dims // self.arch['num_heads']
        side = pretrain_img_size or img_size
        self.grid = self.whole_grid((side, side))
        if with_start_token:
            self.start_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        if positions == 'learnable':
            length = self.num_prefix_tokens + self.grid[0] * self.grid[1]
            self.pos_embed = nn.Parameter(torch.zeros(1, length, self.embed_dims))
        # Fail now if positions or order do not fit the pre-training's grid.
        self.sequence_positions(self.grid, self.permutation(self.grid))
        if two_stream:
            self.query_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        self.add_blocks(
            final_norm, window_size, global_attn_indexes, drop_path_rate, two_stream=two_stream
        )

    @classmethod
    def settings_from(cls, state: Tensors) -> dict[str, Any] | None:
        """See :class:`Loadable`: a ViT with a start token, or without learned positions."""
        other = any(
            n in ('cls_token', 'patch_embed.word.weight') or '.modulation.' in n or 'rel_pos' in n
            for n in state
        )
        starts = {name.partition('.')[0] for name in state}
        if other or not {'blocks', 'patch_embed'} <= starts:
            return None
        patches, (side, has_prefix) = patches_from(state), positions_from(state)
        return dict(
            arch=arch_from(state),
            **patches,
            img_size=side * patches['patch_size'] or Untold(14 * patches['patch_size']),
            # Other kinds of positions leave no tensor to tell them by.
            positions='learnable' if 'pos_embed' in state else 'rope-2d',
            with_start_token='start_token' in state or has_prefix,
            two_stream='query_token' in state or any('.attn.query.' in name for name in state),
            final_norm='norm' in starts,
        )

    @property
    def weight_rules(self) -> WeightRules:
        """Those of plain ViTs; the query stream may be dropped too."""
        rules = super().weight_rules
        stream = 'only pre-training with two streams uses it'
        dropped = {r'(query_token$|blocks\.\d+\.attn\.query\.)': stream, **rules.dropped}
        return replace(rules, dropped=dropped)

    # The sequence: start token, order and positions.

    def whole_grid(self, size: Sequence[int]) -> tuple[int, int]:
        """The grid of an image of (H, W) pixels.

        Raises:
            UserError: Patches do not fill the image.
        """
        height, width = size
        check_multiples((height, width), self.patch_size)
        return height // self.patch_size, width // self.patch_size

    def sequence_order(self, grid: tuple[int, int]) -> Tensor:
        """The backbone's own order, (N,) int64 on the CPU, see :func:`patch_order`."""
        return patch_order(grid, self.order, self.block_size)

    def permutation(self, grid: tuple[int, int], order: Tensor | None = None) -> Tensor | None:
        """Index of each token of the sequence into [start token, patches in raster order].

        Args:
            grid: (h, w) in patches.
            order: (N,) or (B, N); the backbone's own when None.

        Returns:
            ([1 +] N,) or (B, [1 +] N); None for raster order.
        """
        if order is None:
            if self.order == 'raster':
                return None
            order = self.sequence_order(grid)
        # The start token stays at 0, so that patches count from 1.
        order = order.to(self.patch_embed.proj.weight.device)
        return F.pad(order + 1, (1, 0)) if self.num_prefix_tokens else order

    def with_start(self, tokens: Tensor) -> Tensor:
        """Prepend the start token, if there is one: (B, N, C) -> (B, [1 +] N, C)."""
        if not self.num_prefix_tokens:
            return tokens
        return torch.cat([self.start_token.expand(len(tokens), -1, -1), tokens], dim=1)

    def sequence_positions(
        self, grid: tuple[int, int], permutation: Tensor | None = None
    ) -> SequencePositions:
        """Positions of start token and patches, in the order of :meth:`permutation`."""
        ordered = (
            None if x is None else in_order(x, permutation)
            for x in (self.absolute_positions(grid), self.phases(grid, self.grid))
        )
        return SequencePositions(*ordered)

    def absolute_positions(self, grid: tuple[int, int]) -> Tensor | None:
        """Positions to add, (1, [1 +] N, C) in raster order, the start token's first."""
        if self.positions == 'learnable':
            return interpolate_pos_embed(self.pos_embed, grid, self.num_prefix_tokens)
        if self.positions == 'sincos':
            # MAE counts patches from 0, and its class token has zeros too.
            coordinates = patch_coordinates(grid, self.grid, self.patch_embed.proj.weight.device)
            absolute = sincos_pos_embed(coordinates - 1, self.embed_dims)
            return F.pad(absolute, (0, 0, self.num_prefix_tokens, 0))[None]
        return None

    def phases(self, grid: tuple[int, int], pretrain_grid: tuple[int, int]) -> Tensor | None:
        """Rotary positions, (1, [1 +] N, D / 2) complex in raster order."""
        if self.positions not in COORDINATES:
            return None
        coordinates = COORDINATES[self.positions](
            grid, pretrain_grid, self.patch_embed.proj.weight.device
        )
        # The start token has position 0, which does not rotate it. (1 + N, 2 or 1)
        coordinates = F.pad(coordinates, (0, 0, self.num_prefix_tokens, 0))
        return phase_factors(rotary_angles(coordinates, self.head_dims, self.rope_base))[None]

    # Transfer: all patches are input.

    def layer_outputs(self, x: Tensor, time: None = None) -> Iterator[Tensor]:
        """Tokens (B, [1 +] N, C) after each block, in the order of the sequence."""
        tokens, grid = self.patch_embed(x)
        # Order matters under a causal mask only.
        permutation = self.permutation(grid) if self.causal else None
        positions = self.sequence_positions(grid, permutation)
        sequence = positions.add_to(in_order(self.with_start(tokens), permutation))
        # Rotary positions by window size: each window counts as an image of its own.
        phases = {0: positions.phases}
        for size in {block.window_size for block in self.blocks} - {0}:
            phases[size] = self.phases((size, size), (size, size))
        options = [dict(phases=phases[b.window_size], causal=self.causal) for b in self.blocks]
        return self.block_outputs(sequence, grid, options)

    def to_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens of a sequence as a map in raster order: (B, [1 +] N, C) -> (B, C, h, w)."""
        permutation = self.permutation(grid) if self.causal else None
        tokens = tokens if permutation is None else in_order(tokens, inverse(permutation))
        return super().to_map(tokens, grid)

    # Pre-training and sampling: the next patch is predicted.

    def embed_patches(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patch embeddings without positions.

        Args:
            images: (B, 3, H, W), normalized; H and W multiples of the patch size.

        Returns:
            (B, N, C) in raster order, and the grid (h, w).
        """
        self.whole_grid(images.shape[-2:])
        return self.patch_embed(images)

    def predict_next(
        self, tokens: Tensor, grid: tuple[int, int], order: Tensor | None = None
    ) -> Tensor:
        """The conditions z_t = f(x_<t) of section 3.3, for all patches at once.

        Args:
            tokens: (B, N, C), embedded patches or VQ tokens, in raster order without positions.
            grid: (h, w) with h * w = N.
            order: Raster indices in the order of the sequence: (N,), or (B, N) with a query
                stream. The backbone's own order when None.

        Returns:
            (B, N, C) after the final norm, in raster order: the entry of patch ``order[k]`` depends
            on the patches ``order[:k]`` only.

        Raises:
            UserError: There is no start token, or no query stream for orders (B, N).
        """
        self.check_order(order)
        permutation = self.permutation(grid, order)
        # The last patch is never an input: x_0 .. x_{N-1} predict x_1 .. x_N, x_0 the start token.
        content = in_order(self.with_start(tokens), permutation)[:, :-1]
        positions = self.sequence_positions(grid, permutation)
        # With a query stream, one query asks for each patch.
        num_queries = content.shape[1] if self.two_stream else 0
        z = self.run_causally(content, positions, grid, num_queries=num_queries)
        # Row k predicts token k + 1 of the sequence; put the rows back in raster order.
        return z if permutation is None else in_order(z, inverse(permutation[..., 1:]))

    def run_causally(
        self,
        content: Tensor,
        positions: SequencePositions,
        grid: tuple[int, int],
        first: int = 0,
        num_queries: int = 0,
        caches: Sequence[KVCache | None] | None = None,
    ) -> Tensor:
        """Outputs that predict the patch after each content token.

        Args:
            content: (B, n, C), tokens ``first`` to ``first + n - 1`` of the sequence, without
                positions; the start token is token 0.
            positions: Positions of the whole sequence.
            grid: (h, w).
            first: Index of the first content token; the caches hold those before it.
            num_queries: M, query tokens. They stand for the patches after the last M content
                tokens, and give the predictions in place of the content.
            caches: Earlier keys and values for each block.

        Returns:
            (B, M or n, C), after the final norm.
        """
        end = first + content.shape[1]
        here = positions.between(first, end)
        x, phases = here.add_to(content), here.phases
        if num_queries:
            # A query has the position of the patch it predicts.
            asked = positions.between(end + 1 - num_queries, end + 1)
            queries = asked.add_to(self.query_token).expand(len(x), num_queries, -1)
            x = torch.cat([x, queries], dim=1)
            phases = None if phases is None else torch.cat([phases, asked.phases], dim=1)
        shared = dict(phases=phases, causal=True, num_queries=num_queries)
        options = [dict(shared, cache=cache) for cache in caches or [None] * self.num_layers]
        for output in self.block_outputs(x, grid, options):
            x = output
        # -0 takes all: without queries the content itself predicts.
        return self.norm(x[:, -num_queries:])

    def start_sampling(
        self, batch_size: int, grid: tuple[int, int], order: Tensor | None = None
    ) -> PatchByPatch:
        """The state of sampling before the first patch, see :class:`PatchByPatch`."""
        return PatchByPatch(self, batch_size, grid, order)

    def check_order(self, order: Tensor | None) -> None:
        """Refuse to predict without a start token, or orders (B, N) without a query stream."""
        refuse_if(
            (
                not self.num_prefix_tokens,
                'the first patch is predicted from the start token: set with_start_token=True',
            ),
            (
                order is not None and order.ndim == 2 and not self.two_stream,
                'an order for each image needs the query stream, which tells which patch comes '
                'next: set two_stream=True',
            ),
        )


class PatchByPatch:
    """State of sampling patch by patch; each patch passes through the blocks once.

    Args:
        backbone: The model.
        batch_size: B, images that are sampled together.
        grid: (h, w) in patches.
        order: As for :meth:`DARLViT.predict_next`.

    Attributes:
        num_given: Patches given so far, which is the index of the next one in the order.
    """

    @torch.no_grad()
    def __init__(
        self,
        backbone: DARLViT,
        batch_size: int,
        grid: tuple[int, int],
        order: Tensor | None = None,
    ) -> None:
        # One order for all images needs no query stream.
        if order is not None and order.ndim == 2 and torch.equal(order, order[:1].expand_as(order)):
            order = order[0]
        backbone.check_order(order)
        self.backbone, self.grid, self.num_given = backbone, grid, 0
        self.positions = backbone.sequence_positions(grid, backbone.permutation(grid, order))
        self.caches = [KVCache(1 + grid[0] * grid[1]) for _ in backbone.blocks]
        # Tokens that have not passed through the blocks yet. The very last patch never does.
        self.pending = backbone.start_token.expand(batch_size, -1, -1)
        self.features: Tensor | None = None

    @torch.no_grad()
    def next_features(self) -> Tensor:
        """z_t for the next patch, (B, C), equal to that of :meth:`DARLViT.predict_next`."""
        if self.features is None:
            self.features = self.backbone.run_causally(
                self.pending,
                self.positions,
                self.grid,
                first=self.num_given + 1 - self.pending.shape[1],
                num_queries=int(self.backbone.two_stream),
                caches=self.caches,
            )[:, -1]
            self.pending = self.pending[:, :0]  # now in the caches
        return self.features

    @torch.no_grad()
    def append(self, tokens: Tensor) -> None:
        """Add the next patches, embedded without positions: (B, C) or (B, k, C)."""
        tokens = tokens if tokens.ndim == 3 else tokens[:, None]
        self.pending = torch.cat([self.pending, tokens], dim=1)
        self.num_given += tokens.shape[1]
        self.features = None
