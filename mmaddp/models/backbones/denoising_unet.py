"""The UNet that denoises images: down, through the middle, and up beside skip connections."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..layers.unet import GROUPS, Downsample, ResBlock, TimeEmbedding, UNetBlock, Upsample
from .unet_encoder import UNetEncoder, UpBlock

OUTPUT_GROUPS = 8


class DenoisingUNet(UNetEncoder):
    """Layers, and the one pass through them that all uses share.

    Args:
        in_channels: Channels of the image, and of the prediction.
        base_channels: Channels in front of the first block.
        channel_multipliers: Width over ``base_channels`` at each resolution, the finest first.
        attention_stages: Resolutions whose blocks have attention, 0 the finest.
        num_blocks: Blocks at each resolution on the way down; there is one more on the way up.
        resblock_updown: Change the resolution by residual blocks rather than by convolutions.
        augment_dim: Numbers that tell how an image was augmented; 0 has no embedding of them.
        dropout: Probability in residual blocks.
        with_cp: Recompute each layer in the backward pass instead of keeping its activations.
        init_cfg: As MMEngine's modules take it.
        attention_window: Side of the windows of all attention in places; None has none.

    Attributes:
        up_blocks: Names and :class:`UpBlock` of the blocks on the way up, those that are there.
        stride: Pixels of the image for one place of the coarsest map.

    Raises:
        ValueError: No blocks, widths that the norms cannot divide, or a resolution that does not
            exist.
    """

    def __init__(
        self,
        in_channels: int,
        base_channels: int,
        channel_multipliers: Sequence[int],
        attention_stages: Sequence[int],
        num_blocks: int,
        resblock_updown: bool,
        augment_dim: int,
        dropout: float,
        with_cp: bool,
        init_cfg: dict | None,
        attention_window: int | None,
    ) -> None:
        super().__init__(init_cfg)
        self.widths = [base_channels * multiplier for multiplier in channel_multipliers]
        check_sizes([base_channels, *self.widths], attention_stages, num_blocks)
        check_window(attention_window)
        self.in_channels, self.num_blocks = in_channels, num_blocks
        self.attention_stages = set(attention_stages)
        self.resblock_updown, self.with_cp = resblock_updown, with_cp
        self.layer_options = dict(time_dims=4 * base_channels, dropout=dropout)
        self.block_options = dict(self.layer_options, attention_window=attention_window)
        self.stride = 2 ** (len(self.widths) - 1)
        self.conv_in = nn.Conv2d(in_channels, base_channels, 3, padding=1)
        self.time_embed = TimeEmbedding(base_channels, augment_dim)
        self.down, skips = self.build_down(base_channels)
        self.middle = self.build_middle()
        self.up, self.up_blocks = self.build_up(skips)
        self.norm_out = nn.GroupNorm(OUTPUT_GROUPS, self.widths[0])
        self.conv_out = nn.Conv2d(self.widths[0], in_channels, 3, padding=1)

    def build_down(self, channels: int) -> tuple[nn.ModuleList, list[int]]:
        """The layers on the way down, and the channels of all maps that the way up is given."""
        layers, skips = nn.ModuleList(), [channels]
        for stage, width in enumerate(self.widths):
            for _ in range(self.num_blocks):
                layers.append(self.build_block(channels, stage))
                channels = width
                skips.append(width)
            if stage < len(self.widths) - 1:
                layers.append(self.build_resampling(width, 'down'))
                skips.append(width)
        return layers, skips

    def build_middle(self) -> nn.ModuleList:
        """Two blocks at the coarsest resolution, the first with attention."""
        width = self.widths[-1]
        return nn.ModuleList(
            UNetBlock(width, width, with_attention=attends, **self.block_options)
            for attends in (True, False)
        )

    def build_up(self, skips: list[int]) -> tuple[nn.ModuleList, dict[str, UpBlock]]:
        """The layers on the way up, given the channels that come across, and their names."""
        layers, names, channels = nn.ModuleList(), {}, self.widths[-1]
        for stage, width in reversed(list(enumerate(self.widths))):
            for _ in range(self.num_blocks + 1):
                names[f'out_{len(names) + 1}'] = UpBlock(len(layers), width, 2**stage)
                layers.append(self.build_block(channels + skips.pop(), stage))
                channels = width
            if stage:
                layers.append(self.build_resampling(width, 'up'))
        return layers, names

    def build_block(self, in_channels: int, stage: int) -> UNetBlock:
        """A block of one resolution."""
        attends = stage in self.attention_stages
        width = self.widths[stage]
        return UNetBlock(in_channels, width, with_attention=attends, **self.block_options)

    def build_resampling(self, channels: int, direction: str) -> nn.Module:
        """The way to the next resolution, 'down' or 'up'."""
        if self.resblock_updown:
            return ResBlock(channels, channels, resample=direction, **self.layer_options)
        return (Downsample if direction == 'down' else Upsample)(channels)

    def up_features(
        self, x: Tensor, time: Tensor, augment: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        """Names and maps of the blocks on the way up, one after another.

        Args:
            x: (B, C_in, H, W), padded up to multiples of ``stride``.
            time: (B,).
            augment: (B, augment_dim), or None.
        """
        embedding = self.time_embed(time, augment)
        # One for each block on the way up: the finer maps that a truncated network adds nothing to
        # are let go.
        skips = deque([self.conv_in(self.pad(x))], maxlen=len(self.up_blocks))
        for layer in self.down:
            skips.append(self.run(layer, skips[-1], embedding))
        x = skips[-1]
        for layer in self.middle:
            x = self.run(layer, x, embedding)
        names = {block.index: name for name, block in self.up_blocks.items()}
        for index, layer in enumerate(self.up):
            if index in names:
                x = self.run(layer, torch.cat([x, skips.pop()], dim=1), embedding)
                yield names[index], x
            else:
                x = self.run(layer, x, embedding)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay, as MMPretrain counts it.

        The layers on the way down, in the middle and on the way up count in the order of
        computation, those that change the resolution among them.

        Args:
            param_name: Its name, such as ``down.3.res.conv1.weight``.
            prefix: What stands before the names of this module's parameters.

        Returns:
            The depth (0 for the first convolution and the time embedding, i + 1 for layer i, last
            for what predicts) and the number of depths, that of the layers and 2.
        """
        stack, index = param_name[len(prefix) :].split('.')[:2]
        num_depths = len(self.down) + len(self.middle) + len(self.up) + 2
        before = 0
        for name in ('down', 'middle', 'up'):
            if stack == name:
                return before + int(index) + 1, num_depths
            before += len(getattr(self, name))
        return (0 if stack in ('conv_in', 'time_embed') else before + 1), num_depths

    def run(self, layer: nn.Module, x: Tensor, embedding: Tensor) -> Tensor:
        """Apply a layer, keeping its activations or not."""
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(layer, x, embedding, use_reentrant=False)
        return layer(x, embedding)


def check_window(side: int | None) -> None:
    """Refuse windows without places.

    Raises:
        ValueError: Names the key and the remedy.
    """
    if side is not None and side < 1:
        raise ValueError(f'attention_window={side}: set its side in places, or None for none')


def check_sizes(widths: Sequence[int], attention_stages: Sequence[int], num_blocks: int) -> None:
    """Refuse what cannot be built.

    Raises:
        ValueError: No blocks, widths that the norms cannot divide, or an unknown resolution.
    """
    num_stages = len(widths) - 1
    if num_blocks < 1 or not num_stages:
        raise ValueError(f'{num_blocks} blocks at each of {num_stages} resolutions: set at least 1')
    odd = [width for width in widths if width % GROUPS or width < GROUPS]
    if odd:
        raise ValueError(
            f'{odd[0]} channels do not make {GROUPS} groups: set base_channels to a multiple'
        )
    unknown = [stage for stage in attention_stages if not 0 <= stage < num_stages]
    if unknown:
        raise ValueError(f'attention_stages {unknown} are not in 0..{num_stages - 1}')
