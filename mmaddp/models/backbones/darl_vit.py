"""DARL's decoder-only vision transformer, for every use of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from mmaddp.registry import MODELS

from ..layers import KVCache
from ..layers.sequence import SequencePositions, in_order, inverse
from .patch_by_patch import PatchByPatch
from .sequence_vit import SequenceViT


@MODELS.register_module()
class DARLViT(SequenceViT):
    """Causal ViT of DARL: its pre-training (section 3.1) and a dense backbone.

    The sequence is a start token, then the patches. In pre-training (:meth:`predict_next`) it is
    always causal, and an output predicts the patch behind it; in transfer (:meth:`forward`) all
    patches are fed, under a causal or a full mask, by the same weights. Positions are those of
    table 1. With ``two_stream`` it has the query stream of appendix A.5.

    Args:
        arch: 'base', 'large', 'huge', or a dict of ``embed_dims``, ``num_layers``, ``num_heads``
            and optionally ``mlp_ratio`` (4).
        img_size: Input side in pixels.
        patch_size: Side of a patch in pixels.
        in_channels: Channels of the image.
        pretrain_img_size: Input side of the pre-training, ``img_size`` when None. Positions are
            interpolated from its grid to any other, non-square ones included.
        positions: 'rope-2d' (section 3.4), 'rope-1d' over the raster order, 'sincos' as MAE's,
            'learnable' or 'none'. Those that are not rotary are added to the embeddings.
        rope_base: The longest wavelength of rotary positions over 2 pi, in patches (appendix D).
        causal: In :meth:`forward`, let a patch see itself and those before it only.
        order: What "before" means: 'raster', 'nested-raster' or 'round-robin' (section 4.4). A
            full mask has no order.
        block_size: Side in patches of the blocks of ``order``.
        with_start_token: Prepend the start token, at place 0, where rotary positions do not turn
            and sine-cosine ones are zero. Windows exclude it.
        two_stream: Have a query token, and in each block a projection for the query stream, with
            which :meth:`predict_next` predicts patches of any order.
        final_norm: LayerNorm after the last block.
        window_size: Side in tokens of the attention windows; 0 makes all blocks global. In a
            window rotary positions are the window's own and neighbors one apart, as they are in
            pre-training, whatever the image's size (our choice).
        global_attn_indexes: The blocks that attend globally when there are windows.
        drop_path_rate: Stochastic depth of the last block, rising linearly from 0 at the first.
        out_indices: Blocks whose outputs are given in ascending order, negative ones counted from
            the end. The best one may lie in the middle (appendix B.1).
        frozen_stages: -1 trains all, 0 freezes the embeddings, n also the first n blocks; with all
            blocks frozen the final norm is frozen too. What no output needs is frozen as well.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes a pre-training checkpoint or a
            converted file, see :func:`load_pretrained_backbone`.

    Attributes:
        grid: (h, w) of the pre-training.

    Raises:
        ValueError: An unknown ``arch``, ``positions`` or ``order``; patches or blocks of them that
            do not fill the image; a mask or a start token that windows exclude; a head that rotary
            positions cannot turn; or an index out of range.
    """

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
    ) -> None:
        if window_size and (causal or with_start_token):
            raise ValueError(
                'a causal mask and a start token have no place in windows: set causal=False and '
                'with_start_token=False'
            )
        super().__init__(
            pretrain_img_size or img_size,
            positions,
            rope_base,
            order,
            block_size,
            with_start_token,
            arch=arch,
            patch_size=patch_size,
            in_channels=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.causal, self.two_stream = causal, two_stream
        if two_stream:
            self.query_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        self.add_blocks(
            final_norm, window_size, global_attn_indexes, drop_path_rate, two_stream=two_stream
        )

    def layer_outputs(self, x: Tensor, time: None = None) -> Iterator[Tensor]:
        """Tokens (B, [1 +] N, C) after each block, under the mask that the backbone is set to."""
        tokens, grid = self.patch_embed(x)
        places = self.places(grid) if self.causal else None
        positions = self.sequence_positions(grid, places)
        sequence = positions.add_to(in_order(self.with_start(tokens), places))
        phases = {0: positions.phases}
        for size in {block.window_size for block in self.blocks} - {0}:
            phases[size] = self.phases((size, size), (size, size))
        options = [dict(phases=phases[b.window_size], causal=self.causal) for b in self.blocks]
        return self.block_outputs(sequence, grid, options)

    def to_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Outputs of :meth:`forward`, back in raster places: (B, [1 +] N, C) -> (B, C, h, w)."""
        places = self.places(grid) if self.causal else None
        tokens = tokens if places is None else in_order(tokens, inverse(places))
        return super().to_map(tokens, grid)

    def embed_patches(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patch embeddings without positions.

        Args:
            images: (B, 3, H, W), normalized.

        Returns:
            (B, N, C) in raster order, and the grid (h, w).

        Raises:
            ValueError: Patches do not fill the image.
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
            order: (N,), or (B, N) where there is a query stream: raster indices in the order of
                the sequence. The backbone's own order when None.

        Returns:
            (B, N, C) after the final norm, in raster places: that of patch ``order[k]`` depends on
            the patches ``order[:k]`` only.

        Raises:
            ValueError: There is no start token, or the order does not fit.
        """
        self.check_sequence(grid, order)
        places = self.places(grid, order)
        content = in_order(self.with_start(tokens), places)[:, :-1]
        positions = self.sequence_positions(grid, places)
        num_queries = content.shape[1] if self.two_stream else 0
        outputs = self.run_causally(content, positions, grid, num_queries=num_queries)
        return outputs if places is None else in_order(outputs, inverse(places[..., 1:]))

    def run_causally(
        self,
        content: Tensor,
        positions: SequencePositions,
        grid: tuple[int, int],
        first: int = 0,
        num_queries: int = 0,
        caches: Sequence[KVCache | None] | None = None,
    ) -> Tensor:
        """Outputs that predict the patches behind the content.

        Args:
            content: (B, n, C) from place ``first`` of the sequence on, without positions; the
                start token has place 0.
            positions: The whole sequence's.
            grid: (h, w).
            first: Place of the first content token; the caches hold what stands before it.
            num_queries: M, tokens of the query stream. They ask for the patches behind the last M
                content tokens and predict in their stead.
            caches: Earlier keys and values for each block.

        Returns:
            (B, M or n, C), after the final norm.
        """
        end = first + content.shape[1]
        here = positions.between(first, end)
        x, phases = here.add_to(content), here.phases
        if num_queries:
            asked = positions.between(end + 1 - num_queries, end + 1)
            queries = asked.add_to(self.query_token).expand(len(x), num_queries, -1)
            x = torch.cat([x, queries], dim=1)
            phases = None if phases is None else torch.cat([phases, asked.phases], dim=1)
        how = dict(phases=phases, causal=True, num_queries=num_queries)
        options = [dict(how, cache=cache) for cache in caches or [None] * self.num_layers]
        for output in self.block_outputs(x, grid, options):
            x = output
        return self.norm(x[:, -num_queries:])

    def start(
        self, batch_size: int, grid: tuple[int, int], order: Tensor | None = None
    ) -> PatchByPatch:
        """The state of sampling before the first patch.

        Args:
            batch_size: B, images that are sampled together.
            grid: (h, w) in patches.
            order: As :meth:`predict_next` takes it.

        Raises:
            ValueError: As :meth:`predict_next`.
        """
        return PatchByPatch(self, batch_size, grid, order)

    def next_features(self, state: PatchByPatch) -> Tensor:
        """z_t for the next patch of the order, (B, C), equal to :meth:`predict_next`'s."""
        return state.next_features()

    def append(self, state: PatchByPatch, tokens: Tensor) -> None:
        """Give the next patch of the order, (B, C), or the next k, (B, k, C); no positions."""
        state.append(tokens)

    def check_sequence(self, grid: tuple[int, int], order: Tensor | None) -> None:
        """Refuse to predict without a start token, or in an order that does not fit."""
        if not self.num_prefix_tokens:
            raise ValueError(
                'nothing predicts the first patch without a start token: set with_start_token=True'
            )
        if order is None:
            return
        if order.ndim == 2 and not self.two_stream:
            raise ValueError(
                'an order for each image needs the query stream, which tells the model the patch '
                'to predict: set two_stream=True'
            )
        if order.shape[-1] != grid[0] * grid[1]:
            raise ValueError(
                f'an order of {order.shape[-1]} patches does not fit a grid of {grid[0]} x '
                f'{grid[1]}: give every patch its place'
            )
