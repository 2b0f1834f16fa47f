"""DDAE's two UNets, DDPM's and DDPM++, as denoising networks and as encoders."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmaddp.checkpoints.judge import size_of
from mmaddp.checkpoints.rules import Tensors
from mmaddp.registry import MODELS
from mmaddp.utils import check_range

from ..layers.unet import Downsample, ResBlock, TimeEmbedding, UNetBlock, Upsample
from .denoiser import UNet, UpBlock

OUTPUT_GROUPS = 8


@MODELS.register_module()
class DDAEUNet(UNet):
    """The networks of DDAE's section 3.1, whole or truncated to an encoder (section 3.2).

    The defaults are DDPM's network of 35.7M parameters. DDPM++, 56M, has
    ``channel_multipliers=(2, 2, 2), num_blocks=4, resblock_updown=True, augment_dim=9``. Blocks on
    the way up are named as the authors count them, 'out_1', 'out_2' and so on from the coarsest.

    With ``out_blocks`` it is a backbone of clean images at a fixed ``time``, truncated behind the
    last of these blocks. The paper takes the block and time that probe best.

    Args:
        in_channels: Channels of the image and of the prediction.
        base_channels: Channels in front of the first block, a multiple of 32.
        channel_multipliers: Width over ``base_channels`` at each resolution, the finest first.
        attention_stages: Resolutions with attention, 0 the finest. Its cost grows with the square
            of the image's area unless there are windows.
        num_blocks: Blocks at each resolution on the way down; there is one more on the way up.
        resblock_updown: Change the resolution by residual blocks instead of convolutions.
        augment_dim: Length of the augmentation labels; 0 for none.
        dropout: Probability in residual blocks; the authors take 0.1, and 0.13 in EDM.
        out_blocks: Blocks whose maps a backbone gives, in this order.
        time: A backbone's time input: t / T for DDPM, ln(sigma) / 4 for EDM.
        process: Config of the process that trained a backbone: :class:`mmaddp.diffusion.DDPM` or
            :class:`mmaddp.diffusion.EDM`. None takes images as they are.
        frozen: Train nothing, in evaluation mode.
        lora: Train low-rank adapters of attention, ``dict(rank=8)``, see :class:`LoRA`.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``, see :meth:`load`.
        attention_window: Side in positions of attention windows, for images much larger than those
            of the pre-training; None for global attention. Maps of CIFAR-10 have side 16.
        reduction: Factor by which a backbone shrinks its images first, which multiplies the strides
            of its maps.
        channels_last: Memory format of the maps, faster on some devices.

    Raises:
        UserError: A resolution or block does not exist.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 128,
        channel_multipliers: Sequence[int] = (1, 2, 2, 2),
        attention_stages: Sequence[int] = (1,),
        num_blocks: int = 2,
        resblock_updown: bool = False,
        augment_dim: int = 0,
        dropout: float = 0.1,
        out_blocks: Sequence[str] | None = None,
        time: float | None = None,
        process: dict | None = None,
        frozen: bool = False,
        lora: dict | None = None,
        with_cp: bool = False,
        init_cfg: dict | None = None,
        attention_window: int | None = None,
        reduction: int = 1,
        channels_last: bool = False,
    ) -> None:
        super().__init__(init_cfg)
        self.widths = [base_channels * multiplier for multiplier in channel_multipliers]
        for stage in attention_stages:
            check_range('attention_stages', stage, 0, len(self.widths) - 1)
        self.in_channels, self.num_blocks = in_channels, num_blocks
        self.attention_stages = set(attention_stages)
        self.resblock_updown, self.with_cp, self.reduction = resblock_updown, with_cp, reduction
        # DDPM widens the sinusoids four times before they reach the blocks.
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

        self.set_backbone(out_blocks, time, process, frozen, lora)
        if channels_last:
            # Maps follow the layout of the convolutions' weights.
            self.to(memory_format=torch.channels_last)

    @classmethod
    def settings_from(cls, state: Tensors) -> dict[str, Any] | None:
        """See :class:`Loadable`."""
        if not {'conv_in', 'time_embed', 'down'} <= {name.partition('.')[0] for name in state}:
            return None
        base = size_of(state, (r'conv_in\.(weight|bias)', 0), (r'time_embed\.fc1\.weight', 1))
        stages, resamples = stages_from(state)
        in_block = r'res\.(conv1|conv2|norm2)\.(weight|bias)'
        prefixes = [rf'down\.({"|".join(map(str, indices))})\.' for indices in stages]
        # The width of a resolution is that of what its first convolution gives.
        widths = [size_of(state, (prefix + in_block, 0)) for prefix in prefixes]
        # Blocks on the way up; resampling layers have neither part.
        ups = {n.split('.')[1] for n in state if re.match(r'up\.\d+\.(res|attn)\.', n)}
        truncated = not any(name.startswith(('norm_out.', 'conv_out.')) for name in state)
        return dict(
            in_channels=size_of(state, (r'conv_in\.weight', 1)),
            base_channels=base,
            channel_multipliers=tuple(width // max(base, 1) for width in widths),
            attention_stages=tuple(
                stage
                for stage, prefix in enumerate(prefixes)
                if any(re.match(prefix + 'attn', name) for name in state)
            ),
            num_blocks=len(stages[0]),
            resblock_updown=resamples,
            augment_dim=size_of(state, (r'time_embed\.augment\.weight', 1)),
            out_blocks=[f'out_{len(ups)}'] if truncated else None,
            time=0.0 if truncated else None,
        )

    def build_down(self, channels: int) -> tuple[nn.ModuleList, list[int]]:
        """The layers on the way down, and the channels of all skip connections."""
        layers, skips = nn.ModuleList(), [channels]  # the first skip is conv_in's map
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
            # DDPM: block, attention, block.
            for attends in (True, False)
        )

    def build_up(self, skips: list[int]) -> tuple[nn.ModuleList, dict[str, UpBlock]]:
        """The layers on the way up and their blocks by name, from the channels of the skips."""
        layers, names, channels = nn.ModuleList(), {}, self.widths[-1]
        for stage, width in reversed(list(enumerate(self.widths))):
            # One block more than on the way down, for the map of the resampling or of conv_in.
            for _ in range(self.num_blocks + 1):
                names[f'out_{len(names) + 1}'] = UpBlock(len(layers), width, 2**stage)
                # The block reads its own input and a skip connection: C + C_skip channels.
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
        """The layer between two resolutions, 'down' or 'up'."""
        if self.resblock_updown:
            return ResBlock(channels, channels, resample=direction, **self.layer_options)
        return (Downsample if direction == 'down' else Upsample)(channels)

    def truncate(self, layer: str) -> None:
        """See :class:`Denoiser`; an encoder takes no augmentation labels."""
        last = self.up_blocks[layer].index
        # The way down stays whole: all blocks on the way up need the coarsest map.
        del self.up[last + 1 :]
        self.up_blocks = {n: block for n, block in self.up_blocks.items() if block.index <= last}
        self.norm_out = self.conv_out = self.time_embed.augment = None
        self.truncated = True

    def network_input(self, images: Tensor) -> Tensor:
        """A backbone's images, averaged over squares of ``reduction`` pixels and scaled."""
        if self.reduction > 1:
            images = F.avg_pool2d(images, self.reduction, ceil_mode=True)
        return super().network_input(images)

    def layer_outputs(
        self, x: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Maps (B, C, h, w) of the blocks on the way up; ``condition`` (B, augment_dim)."""
        embedding = self.time_embed(time, condition)
        # One skip connection for each block on the way up. A truncated network uses only the
        # coarsest maps; the deque drops the others.
        skips = deque([self.conv_in(self.pad(x))], maxlen=len(self.up_blocks))
        for layer in self.down:
            skips.append(self.run(layer, skips[-1], embedding))
        x = skips[-1]  # also the first skip connection on the way up
        for layer in self.middle:
            x = self.run(layer, x, embedding)
        blocks = {block.index for block in self.up_blocks.values()}
        for index, layer in enumerate(self.up):
            if index in blocks:  # the others change the resolution
                # (B, C + C_skip, h, w) -> (B, C', h, w)
                x = self.run(layer, torch.cat([x, skips.pop()], dim=1), embedding)
                yield x
            else:
                x = self.run(layer, x, embedding)

    def run(self, layer: nn.Module, x: Tensor, embedding: Tensor) -> Tensor:
        """Apply a layer, with activation checkpointing if asked for."""
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(layer, x, embedding, use_reentrant=False)
        return layer(x, embedding)

    def project(self, features: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """See :class:`Denoiser`."""
        return self.conv_out(F.silu(self.norm_out(features)))

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay, as MMPretrain counts it.

        Layers count in the order of computation, those that change the resolution included.

        Args:
            param_name: Its name, such as ``down.3.res.conv1.weight``.
            prefix: Prefix of this module's parameters.

        Returns:
            The depth (0 for the first convolution and the time embedding, i + 1 for layer i, the
            last for the output layers) and the number of depths.
        """
        stack, index = param_name[len(prefix) :].split('.')[:2]
        num_depths = len(self.down) + len(self.middle) + len(self.up) + 2
        before = 0
        for name in ('down', 'middle', 'up'):
            if stack == name:
                return before + int(index) + 1, num_depths
            before += len(getattr(self, name))
        return (0 if stack in ('conv_in', 'time_embed') else before + 1), num_depths


def stages_from(state: Tensors) -> tuple[list[list[int]], bool]:
    """Indices in ``down`` of the blocks at each resolution, and whether residual blocks resample.

    An index without tensors counts as a block, so that its tensors are reported as missing.
    """
    kinds = {int(n.split('.')[1]): n.split('.')[2] for n in state if n.startswith('down.')}
    stages: list[list[int]] = [[]]
    for index in range(min(max(kinds, default=-1) + 1, len(state))):
        if kinds.get(index, 'res') in ('res', 'attn'):
            stages[-1].append(index)
        else:
            stages.append([])
    return stages, bool(set(kinds.values()) - {'res', 'attn', 'conv'})
