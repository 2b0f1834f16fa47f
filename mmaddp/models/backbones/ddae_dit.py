"""The latent diffusion transformer (DiT) of DDAE's experiments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from mmaddp.checkpoints import WeightRules
from mmaddp.checkpoints.judge import size_of
from mmaddp.checkpoints.rules import Tensors
from mmaddp.diffusion import EDM
from mmaddp.registry import MODELS
from mmaddp.utils import check_multiples, check_range

from ..layers import (
    AdaptiveBlock,
    AdaptiveHead,
    ConditionEmbed,
    interpolate_pos_embed,
    pad_to_multiples,
    patch_coordinates,
    sincos_pos_embed,
    unpatchify,
)
from ..layers.positions import resize_pos_embed
from .denoiser import Denoiser
from .plain_vit import PlainViT, arch_from, patches_from, positions_from, resolve_arch

ARCHITECTURES = {
    'small': dict(embed_dims=384, num_layers=12, num_heads=6),
    'base': dict(embed_dims=768, num_layers=12, num_heads=12),
    'large': dict(embed_dims=1024, num_layers=24, num_heads=16),
    'xlarge': dict(embed_dims=1152, num_layers=28, num_heads=16),
}
NUM_TIMESTEPS = 1000


@MODELS.register_module()
class DDAEDiT(Denoiser, PlainViT):
    """Diffusion transformer (DiT) over latents, whole or truncated to an encoder (section 3.2).

    Blocks are named 'layer-0', 'layer-1' and so on. Without labels the network takes the null
    class (section 4.2). With ``out_blocks`` it is a backbone of clean images at a fixed ``time``,
    truncated behind the last of these blocks.

    Args:
        arch: 'small', 'base', 'large', 'xlarge', or a dict of ``embed_dims``, ``num_layers``,
            ``num_heads`` and optionally ``mlp_ratio`` (4).
        embed_dims: Overrides ``arch``.
        num_layers: Overrides ``arch``.
        num_heads: Overrides ``arch``.
        input_size: Side of the latents in pre-training, 32 for images of 256 pixels. The fixed
            sine-cosine positions are interpolated bicubically for other sizes.
        patch_size: Side of a patch in positions of the latents: 2, 4 or 8.
        in_channels: Channels of the latents.
        num_classes: Classes besides the null class.
        learn_sigma: Predict a variance in a second half of the channels.
        out_blocks: Blocks whose maps a backbone gives, in this order.
        time: A backbone's time input: a timestep, 0 to 999, for DDPM; ln(sigma) / 4 for EDM. The
            authors' probes use 'layer-13' with 121 on CIFAR-10 and with 81 on Tiny-ImageNet.
        process: Config of the process that trained a backbone: ``dict(type='mmaddp.DDPM',
            time_input='index')`` for the published DiT.
        autoencoder: Config of the autoencoder of a backbone of images,
            ``dict(type='mmaddp.KLAutoencoder', folder=…)``. None for a backbone of latents.
        frozen: Train nothing, in evaluation mode.
        lora: Train low-rank adapters of attention, ``dict(rank=8)``, see :class:`LoRA`.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``, see :meth:`load`.

    Attributes:
        grid: (h, w) of the pre-training.
        counts_timesteps: The time input is t, not a share of T.

    Raises:
        UserError: An unknown ``arch`` or block, patches that do not fill the latents, or a timestep
            out of range.
    """

    counts_timesteps = True

    def __init__(
        self,
        arch: str | dict = 'xlarge',
        embed_dims: int | None = None,
        num_layers: int | None = None,
        num_heads: int | None = None,
        input_size: int = 32,
        patch_size: int = 2,
        in_channels: int = 4,
        num_classes: int = 1000,
        learn_sigma: bool = True,
        out_blocks: Sequence[str] | None = None,
        time: float | None = None,
        process: dict | None = None,
        autoencoder: dict | None = None,
        frozen: bool = False,
        lora: dict | None = None,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        # Single sizes replace those of the named architecture.
        given = dict(embed_dims=embed_dims, num_layers=num_layers, num_heads=num_heads)
        arch = resolve_arch(arch, ARCHITECTURES)
        arch |= {name: size for name, size in given.items() if size is not None}
        check_multiples((input_size, input_size), patch_size)
        super().__init__(arch, patch_size, in_channels, 0, (-1,), -1, with_cp, init_cfg)
        if out_blocks is not None:
            # Do not build the blocks behind the last one.
            self.num_layers = 1 + self.layers.index(self.last_of(out_blocks))
        self.grid = (input_size // patch_size, input_size // patch_size)
        self.in_channels, self.patch_size = in_channels, patch_size
        self.autoencoder = None if autoencoder is None else MODELS.build(autoencoder)
        # DiT counts patches from 0, and does not learn positions.
        positions = sincos_pos_embed(patch_coordinates(self.grid) - 1, self.embed_dims)
        self.register_buffer('pos_embed', positions[None])
        self.condition = ConditionEmbed(self.embed_dims, num_classes)
        sizes = (self.embed_dims, arch['num_heads'], arch['mlp_ratio'])
        self.blocks = nn.ModuleList(AdaptiveBlock(*sizes) for _ in range(self.num_layers))
        self.norm, self.head = nn.Identity(), None
        if out_blocks is None:
            # The second half is the variance, which DDAE does not use.
            out_channels = in_channels * (1 + learn_sigma)
            self.head = AdaptiveHead(self.embed_dims, patch_size**2 * out_channels)
        self.set_backbone(out_blocks, time, process, frozen, lora)
        if time is not None and not isinstance(self.process, EDM):
            check_range('time', time, 0, NUM_TIMESTEPS - 1)

    @classmethod
    def settings_from(cls, state: Tensors) -> dict[str, Any] | None:
        """See :class:`Loadable`."""
        if not any('.modulation.' in name for name in state):
            return None
        arch, patches = arch_from(state, named=ARCHITECTURES), patches_from(state)
        truncated = not any(name.startswith('head.') for name in state)
        depth = len({name.split('.')[1] for name in state if name.startswith('blocks.')})
        # A head twice as wide as a patch predicts a variance too.
        outputs = size_of(state, (r'head\.proj\.(weight|bias)', 0))
        values = patches['in_channels'] * patches['patch_size'] ** 2
        return dict(
            arch=arch,
            **patches,
            input_size=(positions_from(state)[0] or 16) * patches['patch_size'],
            # One more row for the null class of classifier-free guidance.
            num_classes=size_of(state, (r'condition\.label\.weight', 0)) - 1,
            learn_sigma=outputs != values,
            out_blocks=[f'layer-{depth - 1}'] if truncated else None,
            time=0 if truncated else None,
        )

    @property
    def weight_rules(self) -> WeightRules:
        """Positions are resized; a truncated network drops what is behind its end."""
        blocks = '|'.join(map(str, range(self.num_layers)))
        behind = rf'(head\.|blocks\.(?!({blocks})\.))'
        dropped = {behind: f'it is behind {self.layers[-1]}'} if self.truncated else {}
        return WeightRules(resized={'pos_embed$': resize_pos_embed}, dropped=dropped)

    @property
    def layers(self) -> list[str]:
        """The blocks: 'layer-0', 'layer-1' and so on."""
        return [f'layer-{i}' for i in range(self.num_layers)]

    def truncate(self, layer: str) -> None:
        """See :class:`Denoiser`."""
        self.num_layers = 1 + self.layers.index(layer)
        del self.blocks[self.num_layers :]
        self.head, self.truncated = None, True

    def network_input(self, images: Tensor) -> Tensor:
        """Scaled latents (B, C_in, h, w) of images (B, 3, H, W) in [-1, 1], padded by zeros.

        Without an autoencoder the inputs are latents already.
        """
        if self.autoencoder is not None:
            # 8 x 2 pixels a patch for the published DiT
            side = self.autoencoder.stride * self.patch_size
            images = self.autoencoder.encode(pad_to_multiples(images, side))
        return super().network_input(images)

    def layer_outputs(
        self, x: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Tokens (B, N, C) after each block; ``condition`` are labels, the null class when None."""
        drive = self.condition(time, condition)  # (B, C), one for all blocks
        return self.block_outputs(*self.embed(x), [dict(condition=drive)] * self.num_layers)

    def embed(self, latents: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patches with positions: (B, C_in, H, W) -> (B, h * w, C), (h, w)."""
        tokens, grid = self.patch_embed(latents)
        return tokens + interpolate_pos_embed(self.pos_embed, grid).to(tokens.dtype), grid

    def project(self, features: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """See :class:`Denoiser`."""
        tokens = features.flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, N, C)
        # (B, N, patch_size * patch_size * C_out)
        values = self.head(tokens, self.condition(time, condition))
        return unpatchify(values, tuple(features.shape[-2:]), self.patch_size)

    def block_features(
        self, latents: Tensor, timesteps: Tensor, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Tokens (B, N, C) after each block by name, for labels (B,) up to ``num_classes``."""
        return dict(zip(self.layers, self.layer_outputs(latents, timesteps, labels)))

    def init_parameters(self) -> None:
        """Initialize as DiT does: every block starts as the identity, every output as 0."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        # The patch embedding counts as a linear layer.
        nn.init.xavier_uniform_(self.patch_embed.proj.weight.data.flatten(1))
        nn.init.zeros_(self.patch_embed.proj.bias)
        # N(0, 0.02) as in DiT's initialize_weights.
        for layer in (self.condition.label, self.condition.time.fc1, self.condition.time.fc2):
            nn.init.normal_(layer.weight, std=0.02)
        # adaLN-Zero: gates, and so the residual branches, start at zero.
        zeros = [block.modulation for block in self.blocks]
        zeros += [] if self.head is None else [self.head.modulation, self.head.proj]
        for layer in zeros:
            nn.init.zeros_(layer.weight)
