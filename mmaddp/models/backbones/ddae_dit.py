"""The latent diffusion transformer that DDAE takes representations from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from ..layers import (
    AdaptiveBlock,
    AdaptiveHead,
    ConditionEmbed,
    interpolate_pos_embed,
    patch_coordinates,
    sincos_pos_embed,
    unpatchify,
)
from ..pixel_values import IMAGES_TO_SIGNED_RANGE
from .block_checks import check_backbone, truncation_error
from .plain_vit import PlainViT, resolve_arch

ARCHITECTURES = {
    'small': dict(embed_dims=384, num_layers=12, num_heads=6),
    'base': dict(embed_dims=768, num_layers=12, num_heads=12),
    'large': dict(embed_dims=1024, num_layers=24, num_heads=16),
    'xlarge': dict(embed_dims=1152, num_layers=28, num_heads=16),
}
NUM_TIMESTEPS = 1000


@MODELS.register_module()
class DDAEDiT(PlainViT):
    """Diffusion transformer (DiT) over latents, whole or truncated to an encoder (section 3.2).

    The blocks are named 'layer-0', 'layer-1' and so on. Used without labels the network takes the
    null class, as section 4.2 does.

    With ``out_blocks`` it is a backbone: truncated behind the last of these blocks, with the same
    time input for every image, which it takes clean.

    Args:
        arch: 'small', 'base', 'large', 'xlarge', or a dict of ``embed_dims``, ``num_layers``,
            ``num_heads`` and optionally ``mlp_ratio`` (4).
        embed_dims: In place of what ``arch`` says, and so ``num_layers`` and ``num_heads``.
        num_layers: Blocks.
        num_heads: Attention heads.
        input_size: Side of the latents in pre-training, whose positions are fixed sines and
            cosines; 32 for images of 256 pixels. Other sizes, non-square ones included,
            interpolate them bicubically.
        patch_size: Side of a patch in places of the latents: 2, 4 or 8.
        in_channels: Channels of the latents.
        num_classes: Classes besides the null class, which is behind them.
        learn_sigma: Have a second half of outputs, for the variance.
        out_blocks: Names of the blocks whose maps a backbone gives, in ascending order. What
            stands behind the last of them is left out, and a file that has it fills the rest.
        time: A backbone's time input, a timestep from 0 to 999. The authors' probes use 'layer-13'
            with 121 on CIFAR-10 and with 81 on Tiny-ImageNet.
        autoencoder: Config of a frozen module that gives latents to a backbone:
            ``dict(type='mmaddp.KLAutoencoder', folder=…)``. Without one it takes latents.
        frozen: Train nothing.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes a published file of DiT or a
            converted one, see :func:`load_pretrained_backbone`.

    Attributes:
        grid: (h, w) of the pre-training.
        counts_timesteps: The time input is no share of T.

    Raises:
        ValueError: An unknown ``arch`` or block, patches that do not fill the latents, a timestep
            out of range, or one of ``out_blocks`` and ``time`` without the other.
    """

    counts_timesteps = True
    takes_time = True
    pixel_values = IMAGES_TO_SIGNED_RANGE

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
        time: int | None = None,
        autoencoder: dict | None = None,
        frozen: bool = False,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        given = dict(embed_dims=embed_dims, num_layers=num_layers, num_heads=num_heads)
        arch = resolve_arch(arch, ARCHITECTURES)
        arch |= {name: size for name, size in given.items() if size is not None}
        check_backbone(out_blocks, time)
        check_inputs(input_size, patch_size, time)
        self.block_names = [f'layer-{i}' for i in range(arch['num_layers'])]
        super().__init__(
            arch,
            patch_size,
            in_channels,
            0,
            (-1,) if out_blocks is None else self.block_indices(out_blocks),
            arch['num_layers'] if frozen else -1,
            with_cp,
            init_cfg,
        )
        self.grid = (input_size // patch_size, input_size // patch_size)
        self.in_channels, self.patch_size, self.time = in_channels, patch_size, time
        self.autoencoder = None if autoencoder is None else MODELS.build(autoencoder)
        positions = sincos_pos_embed(patch_coordinates(self.grid) - 1, self.embed_dims)
        self.register_buffer('pos_embed', positions[None])
        self.condition = ConditionEmbed(self.embed_dims, num_classes)
        self.add_adaptive_blocks(in_channels * (1 + learn_sigma), out_blocks is not None)

    def add_adaptive_blocks(self, out_channels: int, truncated: bool) -> None:
        """Add the blocks, up to the last that is wanted, and for a whole network its head."""
        del self.block_names[self.out_indices[-1] + 1 :]
        self.num_layers = len(self.block_names)
        sizes = (self.embed_dims, self.arch['num_heads'], self.arch['mlp_ratio'])
        self.blocks = nn.ModuleList(AdaptiveBlock(*sizes) for _ in self.block_names)
        self.norm, self.head = nn.Identity(), None
        if not truncated:
            self.head = AdaptiveHead(self.embed_dims, self.patch_size**2 * out_channels)
        self.freeze()

    @property
    def layers(self) -> list[str]:
        """The blocks: 'layer-0', 'layer-1' and so on."""
        return self.block_names

    @property
    def out_layers(self) -> list[str]:
        """The blocks of ``out_blocks``, in ascending order."""
        if self.time is None:
            raise ValueError('a whole network is no backbone: set its out_blocks and time')
        return super().out_layers

    def layer_settings(self, layer: str, time: float | None = None) -> dict[str, Any]:
        """See :class:`Encoder`."""
        return dict(out_blocks=[layer], time=time)

    def block_indices(self, names: Sequence[str]) -> list[int]:
        """The places of blocks, counted from 0."""
        self.last_of(names)
        return [self.block_names.index(name) for name in names]

    def network_input(self, images: Tensor) -> Tensor:
        """The latents of a backbone's images, see :meth:`encode`."""
        return self.encode(images)

    def layer_outputs(
        self, x: Tensor, time: Tensor, labels: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Tokens (B, N, C) after each block; see :class:`Encoder`."""
        return self.block_outputs(*self.embed(x), self.options(self.condition(time, labels)))

    def encode(self, images: Tensor) -> Tensor:
        """The latents that the network denoises.

        Args:
            images: (B, 3, H, W) in [-1, 1], or where there is no autoencoder latents
                (B, C_in, H, W). Sides that no whole number of patches fills are padded by zeros at
                the right and the bottom.

        Returns:
            (B, C_in, h, w), scaled; latents pass as they are where there is no autoencoder.

        Raises:
            UserError: The latents have another number of channels, as pixels do.
        """
        latents = images
        if self.autoencoder is not None:
            side = self.autoencoder.stride * self.patch_size
            height, width = images.shape[-2:]
            latents = self.autoencoder.encode(F.pad(images, (0, -width % side, 0, -height % side)))
        if latents.shape[1] != self.in_channels:
            raise UserError(
                f'DDAEDiT denoises latents of {self.in_channels} channels and was given '
                f'{latents.shape[1]}: for images set autoencoder='
                "dict(type='mmaddp.KLAutoencoder', folder=…) in the backbone"
            )
        return latents

    def predict(self, latents: Tensor, timesteps: Tensor, labels: Tensor | None = None) -> Tensor:
        """All outputs of the network.

        Args:
            latents: (B, C_in, H, W), scaled and noised.
            timesteps: (B,), from 0 to 999.
            labels: (B,), from 0 to ``num_classes``, which is the null class; that when None.

        Returns:
            (B, 2 C_in, H, W): the noise, and with ``learn_sigma`` between which bounds its
            variance lies.

        Raises:
            ValueError: The network is truncated.
        """
        return self.predict_with_features(latents, timesteps, [], labels)[0]

    def predict_with_features(
        self,
        latents: Tensor,
        timesteps: Tensor,
        names: Sequence[str],
        labels: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What :meth:`predict` and :meth:`block_features` give, from one pass."""
        last = self.block_names[-1]
        if self.head is None:
            raise truncation_error(last)
        features = self.block_features(latents, timesteps, labels, [*names, last])
        outputs = self.head(features[last], self.condition(timesteps, labels))
        height, width = latents.shape[2:]
        grid = (-(-height // self.patch_size), -(-width // self.patch_size))
        outputs = unpatchify(outputs, grid, self.patch_size)[..., :height, :width]
        return outputs, {name: features[name] for name in names}

    def block_features(
        self,
        latents: Tensor,
        timesteps: Tensor,
        labels: Tensor | None = None,
        names: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """Tokens after blocks, from one pass that ends behind the last of them.

        Args:
            latents: (B, C_in, H, W), noised to the level of the timesteps.
            timesteps: (B,), from 0 to 999.
            labels: As :meth:`predict` takes them.
            names: The blocks; all that the network has when None.

        Returns:
            (B, N, C) under each name, in ascending order.

        Raises:
            ValueError: There is no such block.
        """
        wanted = self.block_indices(self.block_names if names is None else names)
        outputs = self.layer_outputs(latents, timesteps, labels)
        outputs = islice(outputs, max(wanted) + 1)
        return {self.block_names[i]: output for i, output in enumerate(outputs) if i in wanted}

    def embed(self, latents: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patches with positions: (B, C_in, H, W) -> (B, h * w, C), (h, w)."""
        tokens, grid = self.patch_embed(latents)
        return tokens + interpolate_pos_embed(self.pos_embed, grid).to(tokens.dtype), grid

    def options(self, condition: Tensor) -> list[dict]:
        """What each block takes besides tokens and grid."""
        return [dict(condition=condition)] * len(self.blocks)

    def init_parameters(self) -> None:
        """Draw the weights as DiT does: every block starts as the identity, every output as 0."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.patch_embed.proj.weight.data.flatten(1))
        nn.init.zeros_(self.patch_embed.proj.bias)
        for layer in (self.condition.label, self.condition.time.fc1, self.condition.time.fc2):
            nn.init.normal_(layer.weight, std=0.02)
        zeros = [block.modulation for block in self.blocks]
        zeros += [] if self.head is None else [self.head.modulation, self.head.proj]
        for layer in zeros:
            nn.init.zeros_(layer.weight)

    def embedding_modules(self) -> list[nn.Module]:
        """The modules in front of the first block."""
        return [self.patch_embed, self.condition]

    def frozen_modules(self) -> list[nn.Module]:
        """The modules that are not trained: all or none."""
        head = [] if self.head is None else [self.head]
        return [*self.embedding_modules(), *self.blocks, *head] if self.frozen_stages >= 0 else []


def check_inputs(input_size: int, patch_size: int, time: int | None) -> None:
    """Refuse patches that do not fill the latents, and a timestep that does not exist.

    Raises:
        ValueError: What is wrong, with the remedy.
    """
    if input_size % patch_size:
        raise ValueError(
            f'patch_size {patch_size} does not divide input_size {input_size}: set one that does'
        )
    if time is not None and not 0 <= time < NUM_TIMESTEPS:
        raise ValueError(f'time {time} is not in 0..{NUM_TIMESTEPS - 1}, the timesteps of DiT')
