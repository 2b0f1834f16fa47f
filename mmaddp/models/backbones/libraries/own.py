"""Registered encoders of this package and of others, with the interface of the libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from ..base import BaseEncoder
from .base import Library, depths_by_blocks, nearest_names

BYTE = 255


class OwnModel(Library):
    """A registered encoder, such as ``mmaddp:ADDPViT``, with its own settings as arguments."""

    prefix = 'mmaddp'
    pads = True
    size_option = 'arguments=dict(img_size=…)'

    @property
    def kind(self) -> type[BaseEncoder]:
        """The class.

        Raises:
            UserError: There is none of this name, or it is no encoder.
        """
        found = MODELS.get(f'mmaddp.{self.name}')
        if not (isinstance(found, type) and issubclass(found, BaseEncoder)):
            close = nearest_names(self.name, MODELS.names())
            raise UserError(
                f'model=mmaddp:{self.name}: no such encoder: did you mean {close or "another"}?'
            )
        return found

    @property
    def takes_time(self) -> bool:
        """Whether the network denoises."""
        return self.kind.takes_time

    def build(self) -> nn.Module:
        """See :class:`Library`.

        Raises:
            UserError: The arguments have an autoencoder.
        """
        if 'autoencoder' in self.arguments:
            raise UserError(
                f'model=mmaddp:{self.name}: takes no autoencoder in its arguments: use '
                f"type='mmaddp.{self.name}' instead of mmaddp.Encoder"
            )
        return self.kind(**self.arguments)

    @property
    def front_stride(self) -> int:
        """The factor by which the network first shrinks its images."""
        return self.arguments.get('reduction', 1)

    def check_process(self, network: BaseEncoder, meta: Mapping[str, Any]) -> None:
        """Refuse a denoiser's file if the network has no process: its images would not be scaled.

        Args:
            network: The network.
            meta: What the file says of its model.

        Raises:
            UserError: The file names a process, the arguments do not.
        """
        process = meta.get('process')
        if process and getattr(network, 'process', None) is None:
            raise UserError(
                f'was trained with process={process}: set arguments.process of {self.prefix}:'
                f'{self.name} to it'
            )

    def network_input(self, network: BaseEncoder, images: Tensor, time: float | None) -> Tensor:
        """See :class:`Library`: shrunk, and scaled by the network's process at ``time``."""
        if network.takes_time:
            network.time = time
        return network.network_input(images)

    def layers(self, network: BaseEncoder) -> list[str]:
        """See :class:`Library`."""
        return list(network.layers)

    def maps(
        self, network: BaseEncoder, x: Tensor, layers: Sequence[str], time: Tensor | None
    ) -> dict[str, Tensor]:
        """See :class:`Library`."""
        return network.forward_intermediates(x, layers, time)

    def pixel_statistics(self, network: BaseEncoder) -> tuple[Sequence[float], Sequence[float]]:
        """See :class:`Library`."""
        values = network.pixel_values
        return tuple([value / BYTE for value in values[name]] for name in ('mean', 'std'))

    def input_size(self, network: BaseEncoder) -> tuple[int, int]:
        """See :class:`Library`."""
        size = self.arguments.get('img_size', self.arguments.get('input_size', 64))
        return (size, size)

    def in_channels(self, network: Any) -> int:
        """See :class:`Library`."""
        return getattr(network, 'in_channels', 3)

    def depths(self, network: BaseEncoder) -> dict[str, int]:
        """The encoder's own, where it has them."""
        depth = getattr(network, 'get_layer_depth', None)
        if depth is None:
            return depths_by_blocks(network, list(network.children()))
        return {name: depth(name)[0] for name, _ in network.named_parameters()}
