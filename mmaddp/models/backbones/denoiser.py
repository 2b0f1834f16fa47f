"""Base classes of denoising networks, whole or truncated to an encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from mmaddp.checkpoints import WeightRules
from mmaddp.diffusion import EDM
from mmaddp.registry import TASK_UTILS
from mmaddp.utils import UserError, check_range

from ..layers import pad_to_multiples
from ..pixel_values import IMAGES_TO_SIGNED_RANGE
from .base import BaseEncoder

EDM_TIMES = (-2, 2)  # ln(sigma) / 4 of any sigma from 0.0003 to 2,980


class Denoiser(BaseEncoder):
    """A denoising network, whole or truncated behind a layer (section 3.2 of DDAE).

    A backbone needs the ``process`` that trained it, which scales its images. In a pre-training it
    is the process of the pre-training. A checkpoint of another process is refused.

    Attributes:
        in_channels: Channels of images or latents.
        out_blocks: Layers whose maps a backbone gives; None for a whole network.
        truncated: The network lacks its last layers and predicts nothing.
    """

    takes_time = True
    pixel_values = IMAGES_TO_SIGNED_RANGE
    in_channels: int
    out_blocks: Sequence[str] | None = None
    truncated: bool = False

    @abstractmethod
    def layer_outputs(
        self, x: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The layers, see :class:`BaseEncoder`; ``condition`` as :meth:`predict` takes it."""

    @abstractmethod
    def project(self, features: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """The prediction from the last layer's map: (B, C, h, w) -> (B, C_out, H, W)."""

    @abstractmethod
    def truncate(self, layer: str) -> None:
        """Drop everything that a layer's map does not need."""

    def set_backbone(
        self,
        out_blocks: Sequence[str] | None,
        time: float | None,
        process: dict | None,
        frozen: bool,
        lora: dict | None,
    ) -> None:
        """Truncate to a backbone if there are ``out_blocks``; call it last.

        Raises:
            UserError: A layer does not exist, or a process by EDM gets a timestep.
        """
        self.out_blocks, self.time = out_blocks, time
        self.process = None if process is None else TASK_UTILS.build(process)
        if time is not None and isinstance(self.process, EDM):
            # A timestep such as 121 would scale all images to zero.
            check_range('time', time, *EDM_TIMES)
        if out_blocks is not None:
            self.truncate(self.last_of(out_blocks))
        self.set_tuning(frozen, lora)

    @property
    def out_layers(self) -> Sequence[str] | None:
        """The layers of ``out_blocks``."""
        return self.out_blocks

    def layer_settings(self, layer: str, time: float | None = None) -> dict[str, Any]:
        """See :class:`BaseEncoder`."""
        process = {} if self.process is None else {'process': self.process.identity}
        return dict(out_blocks=[layer], time=time, **process)

    @property
    def checkpoint_meta(self) -> dict[str, Any]:
        """The process; a whole network alone has none, for its inputs are scaled already."""
        if self.process is None and not self.truncated:
            return {}
        return {'process': self.process and self.process.identity}

    def network_input(self, images: Tensor) -> Tensor:
        """Clean images or latents, scaled as noised ones at the backbone's time.

        The authors' ``EDM.D_x`` multiplies all that the network sees by c_in, in probing too.
        """
        # c_in of DDPM is 1, of EDM 1 / sqrt(sigma^2 + sigma_data^2).
        if self.process is None or self.time is None:
            return images
        return self.process.scale_input(images, self.process.level_at(self.time))

    def predict(self, x: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """The network's output: the noise in DDPM, F of equation 7 in EDM's paper.

        Args:
            x: (B, C_in, H, W), noised, and scaled by the process; any size.
            time: (B,), the time input of the process.
            condition: Augmentation labels (B, augment_dim) for a UNet, class labels (B,) for DiT.

        Returns:
            (B, C_out, H, W).

        Raises:
            UserError: The network is truncated.
        """
        return self.predict_with_features(x, time, (), condition)[0]

    def predict_with_features(
        self, x: Tensor, time: Tensor, layers: Sequence[str], condition: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The prediction and the maps of some layers, from one pass."""
        last, (height, width) = self.layers[-1], x.shape[-2:]
        if self.truncated:
            raise UserError(
                f'the network is truncated behind {last} and cannot predict: build it whole, '
                'without out_blocks and time'
            )
        # The last layer's map gives the prediction.
        outputs = self.layer_outputs(x, time, condition)
        maps = self.collect_maps(outputs, [*layers, last], (height, width))
        # The padding is cut off again.
        prediction = self.project(maps[last], time, condition)[..., :height, :width]
        return prediction, {layer: maps[layer] for layer in layers}


class UpBlock(NamedTuple):
    """A block on the way up.

    Attributes:
        index: Its index among the layers on the way up.
        channels: Channels of its map.
        stride: Pixels of the image for one position of its map.
    """

    index: int
    channels: int
    stride: int


class UNet(Denoiser):
    """A UNet whose blocks on the way up give feature maps.

    Attributes:
        up_blocks: Blocks by name: 'out_1', 'out_2' and so on from the coarsest.
        stride: Pixels of the image for one position of the coarsest map.
    """

    up_blocks: dict[str, UpBlock]
    stride: int

    @property
    def weight_rules(self) -> WeightRules:
        """A truncated network drops what is behind its end."""
        # Names in our UNet and in diffusers' UNet, which stands under `unet.`.
        behind = r'(unet\.)?(up|up_blocks|norm_out|conv_norm_out|conv_out|time_embed\.augment)\.'
        why = f'it is behind {self.layers[-1]}'
        return WeightRules(dropped={behind: why} if self.truncated else {})

    @property
    def layers(self) -> list[str]:
        """The blocks on the way up."""
        return list(self.up_blocks)

    def channels(self, layer: str) -> int:
        """See :class:`BaseEncoder`."""
        return self.up_blocks[layer].channels

    def layer_map(self, layer: str, output: Tensor, size: tuple[int, int]) -> Tensor:
        """A block's map without the padding."""
        # Rounded up: a position with some image in it is not padding.
        stride = self.up_blocks[layer].stride
        height, width = ((side + stride - 1) // stride for side in size)
        return output[..., :height, :width]

    def block_features(self, x: Tensor, time: Tensor) -> dict[str, Tensor]:
        """Maps of all blocks on the way up, see :meth:`forward_intermediates`."""
        return self.forward_intermediates(x, time=time)

    def pad(self, x: Tensor) -> Tensor:
        """Pad by zeros at the right and bottom until ``stride`` divides the sides."""
        # Skip connections need equal maps on the way down and up.
        return pad_to_multiples(x, self.stride)
