"""The plain vision transformer that ADDP pre-trains, for every use of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmaddp.registry import MODELS

from ..layers import Block, PatchEmbed, interpolate_pos_embed
from .pretrained import load_pretrained_backbone

ARCHITECTURES = {
    'base': dict(embed_dims=768, num_layers=12, num_heads=12),
    'large': dict(embed_dims=1024, num_layers=24, num_heads=16),
    'huge': dict(embed_dims=1280, num_layers=32, num_heads=16),
}


@MODELS.register_module()
class ADDPViT(BaseModule):
    """Plain ViT: ADDP's encoder, and with windows and relative positions ViTDet's backbone.

    The defaults are the encoder as it is pre-trained, with a norm after the embeddings and one
    after the last block. The authors' fine-tuning has neither (``embed_norm=False,
    final_norm=False``) and puts a fresh norm behind average pooling.

    Args:
        arch: 'base', 'large', 'huge', or a dict of ``embed_dims``, ``num_layers``, ``num_heads``
            and optionally ``mlp_ratio`` (4).
        img_size: Input side in pixels that the tables of relative positions are made for; other
            sizes interpolate them.
        patch_size: Side of a patch in pixels.
        in_channels: Channels of the image.
        pretrain_img_size: Input side of the pre-training, which sets the grid of the learned
            absolute positions; ``img_size`` when None. Other inputs, non-square ones included,
            interpolate them bicubically.
        with_cls_token: Prepend a class token. ViTDet has none, and windows exclude it.
        embed_norm: LayerNorm after patch, position and class embeddings.
        final_norm: LayerNorm after the last block.
        window_size: Side in tokens of the attention windows; 0 makes all blocks global.
        global_attn_indexes: The blocks that attend globally when there are windows.
        use_rel_pos: Decomposed relative positions in every block.
        drop_rate: Dropout behind the embeddings and their norm and in all blocks; ADDP pre-trains
            with 0.1.
        drop_path_rate: Stochastic depth of the last block, rising linearly from 0 at the first.
        out_indices: Blocks whose outputs are given in ascending order, negative ones counted from
            the end.
        frozen_stages: -1 trains all, 0 freezes the embeddings, n also the first n blocks; with all
            blocks frozen the final norm is frozen too. What no output needs is frozen as well.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes any published or converted
            file, see :func:`load_pretrained_backbone`.

    Raises:
        ValueError: An unknown ``arch``, a class token together with windows or relative
            positions, or a block index or ``frozen_stages`` out of range.
    """

    def __init__(
        self,
        arch: str | dict = 'base',
        img_size: int = 256,
        patch_size: int = 16,
        in_channels: int = 3,
        pretrain_img_size: int | None = None,
        with_cls_token: bool = True,
        embed_norm: bool = True,
        final_norm: bool = True,
        window_size: int = 0,
        global_attn_indexes: Sequence[int] = (),
        use_rel_pos: bool = False,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if with_cls_token and (window_size or use_rel_pos):
            raise ValueError(
                'a class token has no place in windows or on the grid of relative positions: '
                'set with_cls_token=False'
            )
        arch = resolve_arch(arch)
        self.embed_dims, self.num_layers = arch['embed_dims'], arch['num_layers']
        self.out_indices = sorted(self.block_index(i) for i in out_indices)
        if not -1 <= frozen_stages <= self.num_layers:
            raise ValueError(f'frozen_stages {frozen_stages} is not in -1..{self.num_layers}')
        self.frozen_stages, self.with_cp = frozen_stages, with_cp

        self.patch_embed = PatchEmbed(patch_size, in_channels, self.embed_dims)
        self.num_prefix_tokens = int(with_cls_token)
        if with_cls_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        num_patches = ((pretrain_img_size or img_size) // patch_size) ** 2
        self.pos_embed = nn.Parameter(
            torch.zeros(1, self.num_prefix_tokens + num_patches, self.embed_dims)
        )
        self.embed_norm = norm_or_identity(self.embed_dims, embed_norm)
        self.embed_drop = nn.Dropout(drop_rate)

        windowed = set(range(self.num_layers)) - {self.block_index(i) for i in global_attn_indexes}
        drop_path_rates = torch.linspace(0, drop_path_rate, self.num_layers, device='cpu').tolist()
        self.blocks = nn.ModuleList()
        for i, rate in enumerate(drop_path_rates):
            window = window_size if i in windowed else 0
            side = window or img_size // patch_size
            self.blocks.append(
                Block(
                    self.embed_dims,
                    arch['num_heads'],
                    arch['mlp_ratio'],
                    drop_rate=drop_rate,
                    drop_path_rate=rate,
                    window_size=window,
                    rel_pos_size=(side, side) if use_rel_pos else None,
                )
            )
        self.norm = norm_or_identity(self.embed_dims, final_norm)
        self.freeze()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the chosen blocks.

        Args:
            images: (B, 3, H, W), normalised; sides that are no multiple of the patch are padded
                by zeros at the right and the bottom.

        Returns:
            One (B, C, ceil(H / patch), ceil(W / patch)) for each of ``out_indices``; the class
            token is left out, and only the last block's map goes through the final norm.
        """
        tokens, grid = self.embed(images)
        maps = []
        for i, output in enumerate(self.block_outputs(tokens, grid, self.out_indices[-1])):
            if i in self.out_indices:
                maps.append(self.to_map(self.norm(output) if self.is_last(i) else output, grid))
        return tuple(maps)

    def forward_tokens(self, images: Tensor, extra_tokens: Tensor | None = None) -> Tensor:
        """All tokens after the last block and norm.

        Args:
            images: (B, 3, H, W), normalised.
            extra_tokens: (B, R, C), embedded, to be attended to behind the patches; no windows.

        Returns:
            (B, [1 +] N + R, C).
        """
        tokens, grid = self.embed(images)
        if extra_tokens is not None:
            tokens = torch.cat([tokens, self.normalise_embeddings(extra_tokens)], dim=1)
        *_, tokens = self.block_outputs(tokens, grid, self.num_layers - 1)
        return self.norm(tokens)

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patch, class and position embeddings: (B, 3, H, W) -> (B, [1 +] N, C), (h, w)."""
        tokens, grid = self.patch_embed(images)
        if self.num_prefix_tokens:
            tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = tokens + interpolate_pos_embed(self.pos_embed, grid, self.num_prefix_tokens)
        return self.normalise_embeddings(tokens), grid

    def normalise_embeddings(self, tokens: Tensor) -> Tensor:
        """Norm and dropout in front of the first block, as far as the encoder has them."""
        return self.embed_drop(self.embed_norm(tokens))

    def block_outputs(self, tokens: Tensor, grid: tuple[int, int], last: int) -> Iterator[Tensor]:
        """Tokens (B, [1 +] N, C) after each block up to ``last``."""
        for block in self.blocks[: last + 1]:
            if self.with_cp and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, grid, use_reentrant=False)
            else:
                tokens = block(tokens, grid)
            yield tokens

    def to_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patch tokens as a contiguous map: (B, [1 +] N, C) -> (B, C, h, w)."""
        return tokens[:, self.num_prefix_tokens :].transpose(1, 2).unflatten(2, grid).contiguous()

    def is_last(self, index: int) -> bool:
        """Whether ``index`` is the last block, whose output the final norm follows."""
        return index == self.num_layers - 1

    def block_index(self, index: int) -> int:
        """A block's index counted from 0, given one that may count from the end."""
        if not -self.num_layers <= index < self.num_layers:
            raise ValueError(f'block {index} does not exist: the encoder has {self.num_layers}')
        return index % self.num_layers

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay, as MMPretrain counts it.

        Args:
            param_name: Its name, such as ``blocks.3.mlp.fc1.weight``.
            prefix: What stands before the names of this module's parameters.

        Returns:
            The depth (0 for the embeddings, i + 1 for block i, num_layers + 1 behind the blocks)
            and the number of depths, num_layers + 2.
        """
        name = param_name[len(prefix) :]
        num_depths = self.num_layers + 2
        if name.startswith('blocks.'):
            return int(name.split('.')[1]) + 1, num_depths
        return (num_depths - 1 if name.startswith('norm.') else 0), num_depths

    def init_weights(self) -> None:
        """Draw the weights as MAE does; then take those of ``init_cfg``, if any.

        Linear layers and the patch embedding, as the linear layer that it is, are Xavier-uniform,
        positions and class token normal with a deviation of 0.02, relative positions zero.
        """
        if self.is_init:
            return
        for name, parameter in self.named_parameters():
            if name.endswith('bias'):
                nn.init.zeros_(parameter)
            elif name in ('pos_embed', 'cls_token'):
                nn.init.normal_(parameter, std=0.02)
            elif parameter.ndim > 1 and 'rel_pos' not in name:
                nn.init.xavier_uniform_(parameter.data.flatten(1))
        if self.init_cfg and self.init_cfg.get('type') == 'Pretrained':
            load_pretrained_backbone(self, self.init_cfg['checkpoint'])
            self._is_init = True
        else:
            super().init_weights()

    def frozen_modules(self) -> list[nn.Module]:
        """The modules that are not trained: the frozen stages, and what no output needs."""
        last = self.out_indices[-1]
        modules = list(self.blocks[last + 1 :])
        if self.frozen_stages >= 0:
            modules += [
                self.patch_embed,
                self.embed_norm,
                self.embed_drop,
                *self.blocks[: self.frozen_stages],
            ]
        if self.frozen_stages == self.num_layers or not self.is_last(last):
            modules.append(self.norm)
        return modules

    def freeze(self) -> None:
        """Take the frozen stages out of the optimizer's reach."""
        for module in self.frozen_modules():
            module.requires_grad_(False)
        if self.frozen_stages >= 0:
            self.pos_embed.requires_grad_(False)
            if self.num_prefix_tokens:
                self.cls_token.requires_grad_(False)

    def train(self, mode: bool = True) -> ADDPViT:
        """Set the mode; frozen stages stay in evaluation mode, without stochastic depth."""
        super().train(mode)
        for module in self.frozen_modules():
            module.eval()
        return self


def norm_or_identity(embed_dims: int, enabled: bool) -> nn.Module:
    """A LayerNorm with ViT's epsilon, or nothing."""
    return nn.LayerNorm(embed_dims, eps=1e-6) if enabled else nn.Identity()


def resolve_arch(arch: str | dict) -> dict:
    """The sizes of an encoder, given its name or the sizes themselves.

    Raises:
        ValueError: An unknown name, or a key that is missing or unknown.
    """
    if isinstance(arch, str):
        if arch not in ARCHITECTURES:
            raise ValueError(f"arch '{arch}' is none of {', '.join(ARCHITECTURES)}, nor a dict")
        arch = ARCHITECTURES[arch]
    required = {'embed_dims', 'num_layers', 'num_heads'}
    if not required <= set(arch) <= required | {'mlp_ratio'}:
        raise ValueError(
            f'arch needs the keys {sorted(required)} and may have mlp_ratio; it has {sorted(arch)}'
        )
    return dict(mlp_ratio=4.0) | dict(arch)
