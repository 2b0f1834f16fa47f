"""What all UNets have in common whose blocks on the way up give representations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import functional as F

from ..pixel_values import IMAGES_TO_SIGNED_RANGE
from .base import Encoder


class UpBlock(NamedTuple):
    """Where an up-sampling block is, and what it gives.

    Attributes:
        index: Its place among the layers on the way up.
        channels: Channels of its map.
        stride: Pixels of the image for one of its map.
    """

    index: int
    channels: int
    stride: int


class UNetEncoder(Encoder):
    """A UNet that denoises, or one truncated behind a block on the way up.

    Attributes:
        up_blocks: Names and :class:`UpBlock` of the blocks on the way up, those that are there.
        stride: Pixels of the image for one place of the coarsest map.
        out_blocks: Names of the blocks whose maps a backbone gives; None of a whole network.
        time: A backbone's time input.
        reduction: Pixels along the side of one that a backbone sees.
        frozen: Nothing is trained, and dropout is left out.
    """

    up_blocks: dict[str, UpBlock]
    stride: int
    out_blocks: Sequence[str] | None = None
    time: float | None = None
    reduction: int = 1
    frozen: bool = False
    takes_time = True
    pixel_values = IMAGES_TO_SIGNED_RANGE

    @abstractmethod
    def up_features(
        self, x: Tensor, time: Tensor, augment: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        """Names and maps of the blocks on the way up, one after another."""

    @abstractmethod
    def project(self, features: Tensor) -> Tensor:
        """The prediction from the last block's map: (B, C, H, W) -> (B, C_in, H, W).

        Raises:
            ValueError: The network is truncated.
        """

    @property
    def layers(self) -> list[str]:
        """The blocks on the way up: 'out_1', 'out_2' and so on."""
        return list(self.up_blocks)

    @property
    def out_layers(self) -> Sequence[str]:
        """The blocks of ``out_blocks``."""
        if self.out_blocks is None:
            raise ValueError('a whole network is no backbone: set its out_blocks and time')
        return self.out_blocks

    def channels(self, layer: str) -> int:
        """Channels of a block's map."""
        return self.up_blocks[layer].channels

    def layer_settings(self, layer: str, time: float | None = None) -> dict[str, Any]:
        """See :class:`Encoder`."""
        return dict(out_blocks=[layer], time=time)

    def layer_outputs(
        self, x: Tensor, time: Tensor, augment: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Maps of the padded input; see :class:`Encoder`."""
        return (feature for _, feature in self.up_features(x, time, augment))

    def layer_map(self, layer: str, output: Tensor, size: tuple[int, int]) -> Tensor:
        """A block's map without what padding has added."""
        height, width = (-(-side // self.up_blocks[layer].stride) for side in size)
        return output[..., :height, :width]

    def network_input(self, images: Tensor) -> Tensor:
        """A backbone's images, averaged over squares of ``reduction`` pixels."""
        if self.reduction == 1:
            return images
        return F.avg_pool2d(images, self.reduction, ceil_mode=True)

    def predict(self, x: Tensor, time: Tensor, augment: Tensor | None = None) -> Tensor:
        """What the network is trained to give: the noise in DDPM, F of equation 7 in EDM's paper.

        Args:
            x: (B, C_in, H, W), noised, and scaled where the process does so; any size.
            time: (B,), t / T in DDPM, ln(sigma) / 4 in EDM.
            augment: (B, augment_dim), how the images were augmented; None for not at all.

        Returns:
            (B, C_in, H, W).

        Raises:
            ValueError: The network is truncated, or has no embedding of augmentations.
        """
        last = self.last_of(list(self.up_blocks))
        return self.project(self.block_features(x, time, augment, [last])[last])

    def predict_with_features(
        self, x: Tensor, time: Tensor, names: Sequence[str]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What :meth:`predict` and :meth:`block_features` give, from one pass."""
        last = self.last_of(list(self.up_blocks))
        features = self.block_features(x, time, names=[*names, last])
        return self.project(features[last]), {name: features[name] for name in names}

    def block_features(
        self,
        x: Tensor,
        time: Tensor,
        augment: Tensor | None = None,
        names: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """Maps of blocks on the way up, from one pass that ends behind the last of them.

        Args:
            x: As :meth:`predict` takes it.
            time: As :meth:`predict` takes it.
            augment: As :meth:`predict` takes it.
            names: The blocks; all of them when None.

        Returns:
            (B, C, ceil(H / s), ceil(W / s)) under each name, from the coarsest on.

        Raises:
            ValueError: There is no such block, or no embedding of augmentations.
        """
        names = list(self.up_blocks) if names is None else names
        last, features = self.last_of(names), {}
        for name, feature in self.up_features(x, time, augment):
            if name in names:
                features[name] = self.layer_map(name, feature, x.shape[-2:])
            if name == last:
                break
        return features

    def pad(self, x: Tensor) -> Tensor:
        """Add zeros at the right and the bottom until ``stride`` divides the sides."""
        height, width = (-side % self.stride for side in x.shape[-2:])
        return F.pad(x, (0, width, 0, height)) if height or width else x

    def train(self, mode: bool = True) -> UNetEncoder:
        """Set the mode; a frozen network stays in evaluation mode."""
        return super().train(mode and not self.frozen)
