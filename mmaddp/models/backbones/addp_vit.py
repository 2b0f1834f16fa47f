"""The plain vision transformer of ADDP, for pre-training, classification and dense tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmaddp.checkpoints.judge import size_of
from mmaddp.checkpoints.rules import Tensors
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from ..layers import interpolate_pos_embed
from .plain_vit import PlainViT, arch_from, norm_or_identity, patches_from, positions_from


@MODELS.register_module()
class ADDPViT(PlainViT):
    """Plain ViT: ADDP's encoder, or ViTDet's backbone with windows and relative positions.

    The defaults are those of pre-training, with a norm after the embeddings and one after the last
    block. The authors' fine-tuning has neither (``embed_norm=False, final_norm=False``), but a new
    norm after average pooling.

    Args:
        arch: 'base', 'large', 'huge', or a dict of ``embed_dims``, ``num_layers``, ``num_heads``
            and optionally ``mlp_ratio`` (4).
        img_size: Input side in pixels, the size of the tables of relative positions. They are
            interpolated for other inputs.
        patch_size: Side of a patch in pixels.
        in_channels: Channels of the image.
        pretrain_img_size: Input side of the pre-training, ``img_size`` when None: the grid of the
            learned absolute positions. They are interpolated bicubically for other inputs.
        with_cls_token: Prepend a class token; must be False with windows or relative positions.
        num_registers: Register tokens behind the class token, without positions (DINOv2); 0 with
            windows or relative positions.
        embed_norm: LayerNorm after patch, position and class embeddings.
        final_norm: LayerNorm after the last block.
        window_size: Side in tokens of the attention windows; 0 makes all blocks global.
        global_attn_indexes: Blocks that attend globally despite windows.
        use_rel_pos: Decomposed relative positions in every block.
        drop_rate: Dropout of embeddings and in all blocks; ADDP pre-trains with 0.1.
        drop_path_rate: Stochastic depth of the last block, rising linearly from 0 at the first.
        layer_scale_init_value: Initial factors of the residual branches' channels (DINOv2); 0 for
            no factors.
        out_indices: See :class:`PlainViT`.
        frozen_stages: See :class:`PlainViT`.
        with_cp: See :class:`PlainViT`.
        frozen: See :class:`PlainViT`.
        lora: See :class:`PlainViT`.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``, see :meth:`load`.

    Raises:
        UserError: An unknown ``arch``, a class token or registers together with windows or
            relative positions, or a block index or ``frozen_stages`` out of range.
    """

    prefix_token = 'cls_token'
    transfer_settings = dict(embed_norm=False, final_norm=False)

    def __init__(
        self,
        arch: str | dict = 'base',
        img_size: int = 256,
        patch_size: int = 16,
        in_channels: int = 3,
        pretrain_img_size: int | None = None,
        with_cls_token: bool = True,
        num_registers: int = 0,
        embed_norm: bool = True,
        final_norm: bool = True,
        window_size: int = 0,
        global_attn_indexes: Sequence[int] = (),
        use_rel_pos: bool = False,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 0.0,
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: dict | None = None,
        frozen: bool = False,
        lora: dict | None = None,
    ) -> None:
        if (with_cls_token or num_registers) and (window_size or use_rel_pos):
            raise UserError(
                'windows and relative positions allow no class token and no registers: set '
                'with_cls_token=False and num_registers=0'
            )
        super().__init__(
            arch,
            patch_size,
            in_channels,
            int(with_cls_token) + num_registers,
            out_indices,
            frozen_stages,
            with_cp,
            init_cfg,
            frozen,
            lora,
        )
        self.with_cls_token = with_cls_token
        if with_cls_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        if num_registers:
            # DINOv2's registers: between the class token and the patches, without positions.
            self.reg_token = nn.Parameter(torch.zeros(1, num_registers, self.embed_dims))
        # Positions (1, [1 +] N, C) of the pre-training's grid, the class token's first.
        num_patches = ((pretrain_img_size or img_size) // patch_size) ** 2
        self.pos_embed = nn.Parameter(
            torch.zeros(1, int(with_cls_token) + num_patches, self.embed_dims)
        )
        self.embed_norm = norm_or_identity(self.embed_dims, embed_norm)
        self.embed_drop = nn.Dropout(drop_rate)
        self.add_blocks(
            final_norm,
            window_size,
            global_attn_indexes,
            drop_path_rate,
            drop_rate,
            img_size // patch_size if use_rel_pos else None,
            layer_scale_init_value=layer_scale_init_value,
        )

    @classmethod
    def settings_from(cls, state: Tensors) -> dict[str, Any] | None:
        """See :class:`Loadable`: a ViT with learned positions, a class token or relative ones."""
        # MAE-shaped files have a class token; those of DARL and DiT have tensors of their own.
        has_own = {'cls_token', 'pos_embed'} & set(state) or any('rel_pos' in n for n in state)
        other = any(
            n in ('start_token', 'query_token', 'patch_embed.word.weight') or '.modulation.' in n
            for n in state
        )
        blocks = any(re.match(r'blocks\.\d+\.[a-z]', name) for name in state)
        if not has_own or other or not blocks:
            return None
        patches, (side, has_prefix) = patches_from(state), positions_from(state)
        rel_pos = any('.attn.rel_pos_' in name for name in state)
        return dict(
            arch=arch_from(state),
            **patches,
            img_size=(side or 14) * patches['patch_size'],
            with_cls_token=not rel_pos and ('cls_token' in state or has_prefix),
            num_registers=size_of(state, ('reg_token', 1)),
            use_rel_pos=rel_pos,
            embed_norm=any(name.startswith('embed_norm.') for name in state),
            final_norm=any(name.startswith('norm.') for name in state),
            # DINOv2's initial value; the file has the trained ones.
            layer_scale_init_value=1e-5 if any(name.endswith('ls1.gamma') for name in state) else 0,
        )

    def layer_outputs(self, x: Tensor, time: None = None) -> Iterator[Tensor]:
        """Tokens (B, [1 +] N, C) after each block; see :class:`BaseEncoder`."""
        return self.block_outputs(*self.embed(x))

    def forward_tokens(self, images: Tensor, extra_tokens: Tensor | None = None) -> Tensor:
        """All tokens after the last block and norm.

        Args:
            images: (B, 3, H, W), normalized.
            extra_tokens: (B, R, C), embedded tokens to append to the patches; without windows.

        Returns:
            (B, [1 +] N + R, C).
        """
        tokens, grid = self.embed(images)  # (B, [1 +] N, C)
        if extra_tokens is not None:
            # (B, [1 +] N + R, C)
            tokens = torch.cat([tokens, self.normalize_embeddings(extra_tokens)], dim=1)
        *_, tokens = self.block_outputs(tokens, grid)
        return self.norm(tokens)

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patch, class and position embeddings: (B, 3, H, W) -> (B, [1 +] N, C), (h, w)."""
        tokens, grid = self.patch_embed(images)  # (B, N, C)
        if self.with_cls_token:
            tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = tokens + interpolate_pos_embed(self.pos_embed, grid, int(self.with_cls_token))
        return self.normalize_embeddings(self.insert_registers(tokens)), grid

    def insert_registers(self, tokens: Tensor) -> Tensor:
        """Insert the registers behind the class token: (B, [1 +] N, C) -> (B, [1 +] R + N, C)."""
        if self.num_prefix_tokens == self.with_cls_token:
            return tokens
        registers = self.reg_token.expand(len(tokens), -1, -1)
        prefix, patches = tokens[:, : self.with_cls_token], tokens[:, self.with_cls_token :]
        return torch.cat([prefix, registers, patches], dim=1)

    def normalize_embeddings(self, tokens: Tensor) -> Tensor:
        """Norm, if there is one, and dropout in front of the first block."""
        return self.embed_drop(self.embed_norm(tokens))

    def embedding_modules(self) -> list[nn.Module]:
        """The modules in front of the first block."""
        return [self.patch_embed, self.embed_norm, self.embed_drop]
