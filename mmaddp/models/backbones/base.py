"""The interface of an encoder: named layers, and one call for their feature maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from mmaddp.diffusion import DiffusionProcess
from mmaddp.utils import UserError

from ..pixel_values import NORMALIZED_IMAGES
from .tuning import TunableEncoder


class BaseEncoder(TunableEncoder, ABC):
    """A network with named layers that give feature maps.

    Probing, transfer and pre-training use encoders through this class alone. A subclass computes
    its layers in the generator :meth:`layer_outputs`.

    Attributes:
        layers: Names of the layers, in order of computation.
        pixel_values: Config of the data preprocessor whose pixels the encoder expects.
        takes_time: Whether the network denoises, so that its layers depend on a time input.
        time: Time input of a denoising network that serves as a backbone.
        process: Diffusion process of a denoising network, if it is known.
    """

    part = 'backbone'
    layers: list[str]
    pixel_values: dict = NORMALIZED_IMAGES
    takes_time: bool = False
    time: float | None = None
    process: DiffusionProcess | None = None

    @property
    @abstractmethod
    def out_layers(self) -> Sequence[str]:
        """The layers whose maps :meth:`forward` gives."""

    @abstractmethod
    def channels(self, layer: str) -> int:
        """Channels of a layer's map."""

    def layer_outputs(self, x: Tensor, time: Tensor | None) -> Iterator[Tensor]:
        """Compute the layers one by one, in the order of ``layers``.

        A network that computes them otherwise overrides :meth:`compute_maps` instead.

        Args:
            x: (B, C_in, H, W).
            time: (B,), the time input of denoising networks.
        """

    @abstractmethod
    def layer_settings(self, layer: str, time: float | None = None) -> dict[str, Any]:
        """Constructor arguments of a backbone that gives this layer."""

    def layer_map(self, layer: str, output: Tensor, size: tuple[int, int]) -> Tensor:
        """A layer's feature map (B, C, h, w) from its output, for an input of ``size`` (H, W)."""
        return output

    def network_input(self, images: Tensor) -> Tensor:
        """The first layer's input for a backbone's images."""
        return images

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps (B, C, h, w) of ``out_layers`` for images (B, 3, H, W)."""
        layers = self.out_layers
        # Nothing is kept for a backward pass through a frozen encoder.
        with torch.no_grad() if self.frozen else nullcontext():
            maps = self.forward_intermediates(self.network_input(images), layers, self.time)
        return tuple(maps[layer].contiguous() for layer in layers)

    def forward_intermediates(
        self,
        x: Tensor,
        layers: Sequence[str] | None = None,
        time: Tensor | float | None = None,
    ) -> dict[str, Tensor]:
        """Feature maps by layer, from one pass that ends behind the last of them.

        Args:
            x: (B, C_in, H, W), the network's own input: images or latents, noised for a denoising
                network. Sides are padded by zeros at the right and bottom where necessary.
            layers: Names of the layers; all when None.
            time: Time input of a denoising network, (B,) or one number for all.

        Returns:
            (B, C, h, w) by name, in order of computation, without class or start tokens. The map
            of a ViT's last block includes the final norm.

        Raises:
            UserError: A layer does not exist, or the time is missing or superfluous.
        """
        if self.takes_time == (time is None):
            remedy = 'needs a time: set time' if time is None else 'takes no time'
            raise UserError(f'{type(self).__name__} {remedy}')
        if time is not None and not isinstance(time, Tensor):
            # One number for all: (B,)
            time = torch.full((len(x),), float(time), device=x.device)
        return self.compute_maps(x, time, self.layers if layers is None else layers)

    def compute_maps(
        self, x: Tensor, time: Tensor | None, layers: Sequence[str]
    ) -> dict[str, Tensor]:
        """Maps of ``layers`` in order of computation; arguments as checked."""
        return self.collect_maps(self.layer_outputs(x, time), layers, x.shape[-2:])

    def collect_maps(
        self, outputs: Iterator[Tensor], layers: Sequence[str], size: tuple[int, int]
    ) -> dict[str, Tensor]:
        """Maps of ``layers``; nothing behind the last of them is computed."""
        last, maps = self.last_of(layers), {}
        for layer, output in zip(self.layers, outputs):
            if layer in layers:
                maps[layer] = self.layer_map(layer, output, size)
            if layer == last:  # the generator stops here
                break
        return maps

    def last_of(self, layers: Sequence[str]) -> str:
        """The one of these layers that is computed last.

        Raises:
            UserError: A layer does not exist; names those that do.
        """
        unknown = [layer for layer in layers if layer not in self.layers]
        if unknown or not layers:
            raise UserError(
                f'layers {", ".join(map(str, unknown)) or "(none)"}: the network has '
                f'{", ".join(self.layers)}'
            )
        # `layers` may be in any order.
        return max(layers, key=self.layers.index)
