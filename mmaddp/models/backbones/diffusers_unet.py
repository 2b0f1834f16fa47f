"""UNets of the library ``diffusers``, such as google/ddpm-cifar10-32, as encoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mmaddp.checkpoints.folders import network_folder, read_config
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from .denoiser import UNet, UpBlock

# Settings for which the forward pass below equals the library's.
SETTINGS = dict(
    _class_name='UNet2DModel',
    center_input_sample=False,
    time_embedding_type='positional',
    mid_block_type='UNetMidBlock2D',
    class_embed_type=None,
    num_class_embeds=None,
    downsample_type='conv',
    upsample_type='conv',
)
BLOCKS = {'DownBlock2D', 'AttnDownBlock2D', 'UpBlock2D', 'AttnUpBlock2D'}


@MODELS.register_module()
class DiffusersUNet(UNet):
    """A UNet2DModel of a local folder, whole or truncated to an encoder.

    The library builds the network; its norms, padding and time embedding differ from
    :class:`DDAEUNet`'s. Blocks have the same names. It needs ``DDPM(time_input='index')``.

    Args:
        folder: Folder of the network or of a whole pipeline. The constructor reads its config,
            ``init_weights`` its weights.
        out_blocks: Blocks whose maps a backbone gives, in this order.
        time: A backbone's timestep, from 0 on.
        process: Config of the process that trained a backbone.
        frozen: Train nothing, in evaluation mode.
        lora: Train low-rank adapters of attention, ``dict(rank=8)``, see :class:`LoRA`.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes the weights of another folder
            or of one of our checkpoints.

    Attributes:
        in_channels: Channels of the image.
        counts_timesteps: The time input is t, not a share of T.

    Raises:
        ImportError: ``diffusers`` is not installed.
        UserError: The folder holds no such network, or a block does not exist.
    """

    counts_timesteps = True

    def __init__(
        self,
        folder: str,
        out_blocks: Sequence[str] | None = None,
        time: int | None = None,
        process: dict | None = None,
        frozen: bool = False,
        lora: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.folder = Path(folder)
        self.unet = build_unet(self.folder)
        self.in_channels = self.unet.config.in_channels
        # Every level but the first halves the resolution.
        self.stride = 2 ** (len(self.unet.up_blocks) - 1)
        self.up_blocks = name_blocks(self.unet)
        self.set_backbone(out_blocks, time, process, frozen, lora)

    def truncate(self, layer: str) -> None:
        """See :class:`Denoiser`."""
        last = self.up_blocks[layer].index
        self.up_blocks = {n: block for n, block in self.up_blocks.items() if block.index <= last}
        # The library's blocks hold several of ours; the last one kept may lose some.
        left = len(self.up_blocks)
        for number, block in enumerate(self.unet.up_blocks):
            count = min(left, len(block.resnets))
            left -= count
            del block.resnets[count:]
            if hasattr(block, 'attentions'):
                del block.attentions[count:]
            if left == 0:
                block.upsamplers = None
                del self.unet.up_blocks[number + 1 :]
                break
        self.unet.conv_norm_out = self.unet.conv_out = None
        self.truncated = True

    def layer_outputs(self, x: Tensor, time: Tensor, condition: None = None) -> Iterator[Tensor]:
        """Maps (B, C, h, w) of the blocks on the way up."""
        unet = self.unet
        embedding = unet.time_embedding(unet.time_proj(time).to(unet.dtype))
        skips = [unet.conv_in(self.pad(x))]
        # The forward pass of UNet2DModel, but one residual block at a time on the way up.
        for block in unet.down_blocks:
            # A block returns its last map, and all maps for the skip connections.
            skips += block(skips[-1], embedding)[1]
        x = unet.mid_block(skips[-1], embedding)
        for block in unet.up_blocks:
            # Blocks of other resolutions have no attention.
            attentions = getattr(block, 'attentions', [nn.Identity()] * len(block.resnets))
            for resnet, attention in zip(block.resnets, attentions):
                x = attention(resnet(torch.cat([x, skips.pop()], dim=1), embedding))
                yield x
            # The library upsamples at the end of a block.
            for upsampler in block.upsamplers or ():
                x = upsampler(x)

    def project(self, features: Tensor, time: Tensor, condition: None = None) -> Tensor:
        """See :class:`Denoiser`."""
        return self.unet.conv_out(self.unet.conv_act(self.unet.conv_norm_out(features)))

    def init_weights(self) -> None:
        """Load the weights of the folder, or of ``init_cfg``."""
        if not self.is_init:
            self.load(self.init_cfg['checkpoint'] if self.init_cfg else self.folder)
            self._is_init = True


def build_unet(folder: Path) -> nn.Module:
    """The network of a folder's config, with random weights.

    Raises:
        ImportError: ``diffusers`` is not installed.
        UserError: The folder holds no such network.
    """
    from diffusers import UNet2DModel

    found = network_folder(folder)
    if found is None:
        raise UserError(
            f"{folder}: has no config.json: set a folder with 'google/ddpm-cifar10-32' or another "
            'UNet2DModel'
        )
    config = read_config(found)
    check_config(found, config)
    return UNet2DModel.from_config(config)


def check_config(folder: Path, config: dict) -> None:
    """Refuse networks with another forward pass than :data:`SETTINGS` allow."""
    wrong = [name for name, value in SETTINGS.items() if config.get(name, value) != value]
    wrong += [
        name
        for name in ('down_block_types', 'up_block_types')
        if not set(config.get(name, ())) <= BLOCKS
    ]
    if wrong:
        raise UserError(
            f'{folder}: its config has {wrong[0]}={config[wrong[0]]!r}, DiffusersUNet supports '
            f'{SETTINGS.get(wrong[0], sorted(BLOCKS))!r}'
        )


def name_blocks(unet: nn.Module) -> dict[str, UpBlock]:
    """The blocks on the way up, counted from the coarsest resolution."""
    names: dict[str, UpBlock] = {}
    for number, block in enumerate(unet.up_blocks):
        stride = 2 ** (len(unet.up_blocks) - 1 - number)
        for resnet in block.resnets:
            names[f'out_{len(names) + 1}'] = UpBlock(len(names), resnet.out_channels, stride)
    return names
