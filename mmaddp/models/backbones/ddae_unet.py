"""DDAE's two UNets, DDPM's and DDPM++, as networks that denoise and as encoders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from mmaddp.registry import MODELS

from .block_checks import check_backbone, truncation_error
from .denoising_unet import DenoisingUNet
from .pretrained_unet import load_pretrained_unet


@MODELS.register_module()
class DDAEUNet(DenoisingUNet):
    """The networks of DDAE's section 3.1, whole or truncated to an encoder (section 3.2).

    The defaults are DDPM's network of 35.7M parameters. DDPM++, 56M, has
    ``channel_multipliers=(2, 2, 2), num_blocks=4, resblock_updown=True, augment_dim=9``. The
    blocks on the way up are named 'out_1', 'out_2' and so on from the coarsest, as the authors
    count them; up-sampling layers between two resolutions are not counted.

    With ``out_blocks`` it is a backbone: truncated behind the last of these blocks, with the same
    time input for every image, which it takes clean. The paper keeps the block and time that
    probed best, and notes that fine-tuning gains from more blocks and depends less on the time.

    Args:
        in_channels: Channels of the image, and of the prediction.
        base_channels: Channels in front of the first block; multiples of it must be of 32.
        channel_multipliers: Width over ``base_channels`` at each resolution, the finest first.
        attention_stages: Resolutions whose blocks have attention, 0 the finest. All places attend
            to all, unless there are windows: memory and time grow with the square of the image's
            area.
        num_blocks: Blocks at each resolution on the way down; there is one more on the way up.
        resblock_updown: Change the resolution by residual blocks rather than by convolutions.
        augment_dim: Numbers that tell how an image was augmented; 0 has no embedding of them.
        dropout: Probability in residual blocks: the authors take 0.1, and 0.13 in EDM.
        out_blocks: Names of the blocks whose maps a backbone gives, in the order of the maps.
        time: A backbone's time input, in the units of the pre-training: t / T for DDPM,
            ln(sigma) / 4 for EDM.
        frozen: Train nothing, and leave the dropout out.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes the authors' file, a converted
            one or a checkpoint of ours, see :func:`load_pretrained_unet`.
        attention_window: Side in places of the windows within which all attention stays, for
            images much larger than those of the pre-training; None for none. 16 is what CIFAR-10
            has at the second resolution.
        reduction: Side of the squares of pixels that a backbone averages to one in front of the
            network, for images much larger than those of the pre-training; the strides of its maps
            grow by it.
        channels_last: Keep maps with the channels of a place side by side, which convolutions of
            some devices are faster with; what is computed is the same.

    Attributes:
        up_blocks: Names and :class:`UpBlock` of the blocks on the way up, those that are there.
        stride: Pixels of the image for one place of the coarsest map.

    Raises:
        ValueError: A resolution or a block that does not exist, widths that the norms cannot
            divide, no blocks, or one of ``out_blocks`` and ``time`` without the other.
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
        frozen: bool = False,
        with_cp: bool = False,
        init_cfg: dict | None = None,
        attention_window: int | None = None,
        reduction: int = 1,
        channels_last: bool = False,
    ) -> None:
        super().__init__(
            in_channels,
            base_channels,
            channel_multipliers,
            attention_stages,
            num_blocks,
            resblock_updown,
            augment_dim,
            dropout,
            with_cp,
            init_cfg,
            attention_window,
        )
        check_backbone(out_blocks, time)
        self.out_blocks, self.time, self.reduction = out_blocks, time, reduction
        if out_blocks is not None:
            self.truncate(self.last_of(out_blocks))
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False)
        if channels_last:
            # The convolutions' weights decide for the maps.
            self.to(memory_format=torch.channels_last)

    def truncate(self, name: str) -> None:
        """Drop what the map of a block does not need.

        That is all behind the block, and the embedding of augmentations, which an encoder is not
        told of.

        Args:
            name: The last block that stays, such as 'out_7'.

        Raises:
            ValueError: There is no such block; the message lists those that there are.
        """
        last = self.up_blocks[self.last_of([name])].index
        del self.up[last + 1 :]
        self.up_blocks = {n: block for n, block in self.up_blocks.items() if block.index <= last}
        self.norm_out = self.conv_out = self.time_embed.augment = None

    def project(self, features: Tensor) -> Tensor:
        """The prediction from the last block's map: (B, C, H, W) -> (B, C_in, H, W).

        Raises:
            ValueError: The network is truncated.
        """
        if self.conv_out is None:
            raise truncation_error(list(self.up_blocks)[-1])
        return self.conv_out(F.silu(self.norm_out(features)))

    def load(self, path: str | Path) -> None:
        """See :func:`load_pretrained_unet`."""
        load_pretrained_unet(self, path)
