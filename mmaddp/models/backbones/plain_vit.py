"""The base class of all methods' plain vision transformers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmaddp.checkpoints import WeightRules
from mmaddp.checkpoints.judge import Untold, size_of
from mmaddp.checkpoints.rules import Tensors
from mmaddp.utils import check_choice, check_range

from ..layers import Block, PatchEmbed
from ..layers.positions import resize_pos_embed, resize_rel_pos
from .base import BaseEncoder

ARCHITECTURES = {
    'base': dict(embed_dims=768, num_layers=12, num_heads=12),
    'large': dict(embed_dims=1024, num_layers=24, num_heads=16),
    'huge': dict(embed_dims=1280, num_layers=32, num_heads=16),
}


class PlainViT(BaseEncoder):
    """Patch embedding, blocks and a final norm.

    A subclass adds its tokens and positions, lists its modules in :meth:`embedding_modules`, and
    ends its constructor with :meth:`add_blocks`.

    Args:
        arch: 'base', 'large', 'huge', or a dict of ``embed_dims``, ``num_layers``, ``num_heads``
            and optionally ``mlp_ratio`` (4).
        patch_size: Side of a patch in pixels.
        in_channels: Channels of the image.
        num_prefix_tokens: Tokens in front of the patches, which maps leave out.
        out_indices: Blocks whose maps a backbone gives, in ascending order; negative ones count
            from the end.
        frozen_stages: -1 trains all; 0 freezes the embeddings, n also the first n blocks. If all
            blocks are frozen, so is the final norm. Layers that no output needs are always frozen.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        frozen: Train nothing, in evaluation mode.
        lora: Train low-rank adapters of attention, ``dict(rank=8)``, see :class:`LoRA`.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes any published or converted
            file, see :meth:`load`.

    Raises:
        UserError: An unknown ``arch``, or a block index or ``frozen_stages`` out of range.
    """

    prefix_token = ''

    @property
    def checkpoint_meta(self) -> dict[str, Any]:
        """The number of attention heads, which no tensor tells."""
        return {'num_heads': self.arch['num_heads']}

    def __init__(
        self,
        arch: str | dict,
        patch_size: int,
        in_channels: int,
        num_prefix_tokens: int,
        out_indices: Sequence[int],
        frozen_stages: int,
        with_cp: bool,
        init_cfg: dict | None,
        frozen: bool = False,
        lora: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.tuning = dict(frozen=frozen, lora=lora)
        self.arch = resolve_arch(arch)
        self.embed_dims, self.num_layers = self.arch['embed_dims'], self.arch['num_layers']
        self.out_indices = sorted(self.block_index(i) for i in out_indices)
        check_range('frozen_stages', frozen_stages, -1, self.num_layers)
        self.frozen_stages, self.with_cp = frozen_stages, with_cp
        self.num_prefix_tokens = num_prefix_tokens
        self.patch_embed = PatchEmbed(patch_size, in_channels, self.embed_dims)

    def add_blocks(
        self,
        final_norm: bool,
        window_size: int,
        global_attn_indexes: Sequence[int],
        drop_path_rate: float,
        drop_rate: float = 0.0,
        rel_pos_size: int | None = None,
        two_stream: bool = False,
        layer_scale_init_value: float = 0.0,
    ) -> None:
        """Add blocks and final norm, and freeze the frozen stages.

        Args:
            final_norm: LayerNorm after the last block.
            window_size: Side in tokens of the attention windows; 0 makes all blocks global.
            global_attn_indexes: Blocks that attend globally despite windows.
            drop_path_rate: Stochastic depth of the last block, rising linearly from 0 at the first.
            drop_rate: Dropout in all blocks.
            rel_pos_size: Side of the grid of relative positions in global blocks; None for no
                relative positions in any block.
            two_stream: Whether attention has a query stream.
            layer_scale_init_value: Initial factors of the residual branches; 0 for none.
        """
        # ViTDet: windows in most blocks, a few global ones to exchange between windows.
        windowed = set(range(self.num_layers)) - {self.block_index(i) for i in global_attn_indexes}
        # On the CPU, also when the model is built on the meta device.
        drop_path_rates = torch.linspace(0, drop_path_rate, self.num_layers, device='cpu').tolist()
        self.blocks = nn.ModuleList()
        for i, rate in enumerate(drop_path_rates):
            window = window_size if i in windowed else 0
            # Relative positions within a window, else over the whole grid.
            side = window or rel_pos_size
            self.blocks.append(
                Block(
                    self.embed_dims,
                    self.arch['num_heads'],
                    self.arch['mlp_ratio'],
                    drop_rate=drop_rate,
                    drop_path_rate=rate,
                    window_size=window,
                    rel_pos_size=(side, side) if rel_pos_size else None,
                    two_stream=two_stream,
                    layer_scale_init_value=layer_scale_init_value,
                )
            )
        self.norm = norm_or_identity(self.embed_dims, final_norm)
        self.freeze()
        self.set_tuning(**self.tuning)

    @property
    def layers(self) -> list[str]:
        """The blocks: 'block_1', 'block_2' and so on."""
        return [f'block_{number}' for number in range(1, self.num_layers + 1)]

    @property
    def out_layers(self) -> list[str]:
        """The blocks of ``out_indices``."""
        return [self.layers[index] for index in self.out_indices]

    def channels(self, layer: str) -> int:
        """The width C, the same for all blocks."""
        return self.embed_dims

    def layer_settings(self, layer: str, time: float | None = None) -> dict[str, Any]:
        """See :class:`BaseEncoder`."""
        return dict(out_indices=[self.layers.index(layer)])

    def layer_map(self, layer: str, output: Tensor, size: tuple[int, int]) -> Tensor:
        """Patch tokens as a map; only the last block's go through the final norm."""
        # Rounded up, since the embedding pads to whole patches.
        patch_size = self.patch_embed.patch_size
        grid = tuple((side + patch_size - 1) // patch_size for side in size)
        return self.to_map(self.norm(output) if layer == self.layers[-1] else output, grid)

    @property
    def weight_rules(self) -> WeightRules:
        """Positions are resized; outer norms and the prefix token may be dropped."""
        dropped = {
            r'norm\.': 'fine-tuning puts a fresh norm behind average pooling',
            r'embed_norm\.': "the authors' fine-tuning has none",
        }
        if self.prefix_token and not hasattr(self, self.prefix_token):
            dropped[f'{self.prefix_token}$'] = 'the encoder has none, nor its position'
        return WeightRules(
            resized={'pos_embed$': resize_pos_embed, r'blocks\..*rel_pos': resize_rel_pos},
            dropped=dropped,
            optional=('embed_norm', 'norm', r'blocks\..*rel_pos'),
        )

    def block_outputs(
        self,
        tokens: Tensor,
        grid: tuple[int, int],
        options: Sequence[dict] | None = None,
    ) -> Iterator[Tensor]:
        """Tokens (B, [1 +] N, C) after each block.

        Args:
            tokens: (B, [1 +] N, C), embedded.
            grid: (h, w).
            options: Further arguments of each block's attention.
        """
        for i, block in enumerate(self.blocks):
            how = options[i] if options else {}
            # Without gradients no activations are stored, so there is nothing to recompute.
            if self.with_cp and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, grid, use_reentrant=False, **how)
            else:
                tokens = block(tokens, grid, **how)
            yield tokens

    def to_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patch tokens as a contiguous map: (B, [1 +] N, C) -> (B, C, h, w)."""
        # (B, N, C) -> (B, C, N) -> (B, C, h, w)
        return tokens[:, self.num_prefix_tokens :].transpose(1, 2).unflatten(2, grid).contiguous()

    def is_last(self, index: int) -> bool:
        """Whether ``index`` is the last block, whose output the final norm follows."""
        return index == self.num_layers - 1

    def block_index(self, index: int) -> int:
        """The index from 0 on; a negative one counts from the end."""
        check_range('block', index, -self.num_layers, self.num_layers - 1)
        return index % self.num_layers

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay, as MMPretrain counts it.

        Args:
            param_name: Its name, such as ``blocks.3.mlp.fc1.weight``.
            prefix: Prefix of this module's parameters.

        Returns:
            The depth (0 for the embeddings, i + 1 for block i, num_layers + 1 after the blocks)
            and the number of depths, num_layers + 2.
        """
        name = param_name[len(prefix) :]
        num_depths = self.num_layers + 2
        if name.startswith('blocks.'):
            return int(name.split('.')[1]) + 1, num_depths
        return (num_depths - 1 if name.startswith(('norm.', 'head.')) else 0), num_depths

    def init_parameters(self) -> None:
        """Initialize as MAE does.

        Linear layers and the flattened patch embedding are Xavier-uniform. Positions and special
        tokens are normal with a std of 0.02, relative positions zero.
        """
        for name, parameter in self.named_parameters():
            if name.endswith('bias'):
                nn.init.zeros_(parameter)
            elif '.' not in name:  # positions and special tokens
                nn.init.normal_(parameter, std=0.02)
            elif parameter.ndim > 1 and 'rel_pos' not in name:
                # (C, C_in, p, p) -> (C, C_in * p * p), as MAE does
                nn.init.xavier_uniform_(parameter.data.flatten(1))

    def embedding_modules(self) -> list[nn.Module]:
        """The modules in front of the first block."""
        return [self.patch_embed]

    def frozen_modules(self) -> list[nn.Module]:
        """The frozen stages, and the modules that no output needs."""
        # Blocks behind the last output would get no gradient, which distributed training refuses.
        last = self.out_indices[-1]
        modules = list(self.blocks[last + 1 :])
        if self.frozen_stages >= 0:
            modules += [*self.embedding_modules(), *self.blocks[: self.frozen_stages]]
        if self.frozen_stages == self.num_layers or not self.is_last(last):
            modules.append(self.norm)
        return modules

    def freeze(self) -> None:
        """Stop the gradients of the frozen stages, and of what else does not learn."""
        for module in self.frozen_modules():
            module.requires_grad_(False)
        if self.frozen_stages >= 0:
            # Positions and special tokens are parameters of the ViT itself.
            for positions_or_token in self.parameters(recurse=False):
                positions_or_token.requires_grad_(False)
        super().freeze()

    def train(self, mode: bool = True) -> PlainViT:
        """Set the mode; frozen stages stay in evaluation mode, without stochastic depth."""
        super().train(mode)
        for module in self.frozen_modules():
            module.eval()
        return self


def norm_or_identity(embed_dims: int, enabled: bool) -> nn.Module:
    """A LayerNorm with ViT's epsilon, or an identity."""
    return nn.LayerNorm(embed_dims, eps=1e-6) if enabled else nn.Identity()


def arch_from(
    state: Tensors, stack: str = 'blocks', named: Mapping[str, dict] = ARCHITECTURES
) -> str | dict:
    """The ``arch`` of a stack of blocks with these weights, by name if it has one."""
    blocks = rf'{stack}\.\d+\.'
    width = size_of(state, (rf'{blocks}(attn\.proj|mlp\.fc2)\.(weight|bias)', 0))
    # fc1 is (mlp_ratio * C, C), fc2 (C, mlp_ratio * C).
    hidden = size_of(
        state, (rf'{blocks}mlp\.fc1\.(weight|bias)', 0), (rf'{blocks}mlp\.fc2\.weight', 1)
    )
    depth = len({name.split('.')[1] for name in state if re.match(blocks, name)})
    for name, arch in named.items():
        # Architectures with a name have an mlp_ratio of 4.
        if (arch['embed_dims'], arch['num_layers'], 4 * width) == (width, depth, hidden):
            return name
    # Tables of relative positions are as wide as a head; no other tensor tells their number.
    head_dims = size_of(state, (rf'{blocks}attn\.rel_pos_[hw]', 1))
    num_heads = width // head_dims if head_dims else Untold(1)
    sizes = dict(embed_dims=width, num_layers=depth, num_heads=num_heads)
    return sizes if hidden == 4 * width else dict(sizes, mlp_ratio=hidden / max(width, 1))


def patches_from(state: Tensors) -> dict[str, int]:
    """Constructor arguments that fit the patch embedding of a file."""
    # The defaults are ViT's, for a file without a patch embedding.
    weight = r'patch_embed\.proj\.weight'
    return dict(
        in_channels=size_of(state, (weight, 1)) or 3, patch_size=size_of(state, (weight, 2)) or 16
    )


def positions_from(state: Tensors) -> tuple[int, bool]:
    """Side of the grid of learned positions, and whether a prefix token's precedes it."""
    # (1, [1 +] N, C) of a square grid.
    count = size_of(state, ('pos_embed', 1))
    side = math.isqrt(count)
    # A count of s^2 + 1 includes the position of a prefix token.
    return side, bool(side) and count == side * side + 1


def resolve_arch(arch: str | dict, named: Mapping[str, dict] = ARCHITECTURES) -> dict:
    """The sizes of an encoder, from a name in ``named`` or a dict.

    Raises:
        UserError: An unknown name.
    """
    if isinstance(arch, str):
        check_choice('arch', arch, named)
        arch = named[arch]
    return sizes(**arch)


def sizes(embed_dims: int, num_layers: int, num_heads: int, mlp_ratio: float = 4.0) -> dict:
    """The keys of ``arch``, with their defaults."""
    return dict(
        embed_dims=embed_dims, num_layers=num_layers, num_heads=num_heads, mlp_ratio=mlp_ratio
    )
