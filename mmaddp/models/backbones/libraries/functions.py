"""Networks that a function of one's own builds."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from torch import Tensor, nn

from mmaddp.utils import UserError

from ...pixel_values import IMAGENET_MEAN, IMAGENET_STD
from .base import Library, main_stack, nearest_names


class FunctionModel(Library):
    """The network that ``py:module:function`` returns.

    Its ``forward`` takes images (B, 3, H, W) and gives one map (B, C, h, w), or a list or a dict of
    them in the order of computation. It may have ``pixel_mean`` and ``pixel_std`` of RGB in [0, 1],
    ImageNet's otherwise.
    """

    prefix = 'py'

    def build(self) -> nn.Module:
        """See :class:`Library`."""
        module_name, _, function_name = self.name.partition(':')
        try:
            module = import_module(module_name)
        except ImportError as error:
            raise UserError(f'py:{self.name}: {error}: set PYTHONPATH to its folder') from None
        function = getattr(module, function_name, None)
        if not callable(function):
            public = [name for name in vars(module) if not name.startswith('_')]
            close = nearest_names(function_name, public)
            raise UserError(
                f'py:{self.name}: {module_name} has no function {function_name or "(none given)"}: '
                f'did you mean {close or "another module"}?'
            )
        network = function(**self.arguments)
        if not isinstance(network, nn.Module):
            raise TypeError(f'returns {type(network).__name__}, not a torch.nn.Module')
        return network

    def layers(self, network: nn.Module) -> list[str]:
        """See :class:`Library`; known after the first trial run."""
        return self.names

    names: Sequence[str] = ()

    def maps(
        self, network: nn.Module, x: Tensor, layers: Sequence[str], time: None
    ) -> dict[str, Tensor]:
        """See :class:`Library`."""
        output = network(x)
        if isinstance(output, Tensor):
            output = [output]
        if not isinstance(output, dict):
            output = {f'map_{number}': one for number, one in enumerate(output, start=1)}
        self.names = list(output)
        return {name: one for name, one in output.items() if name in layers or not layers}

    def pixel_statistics(self, network: nn.Module) -> tuple[Sequence[float], Sequence[float]]:
        """See :class:`Library`."""
        mean = getattr(network, 'pixel_mean', IMAGENET_MEAN)
        return tuple(mean), tuple(getattr(network, 'pixel_std', IMAGENET_STD))

    def blocks(self, network: nn.Module) -> list[nn.Module]:
        """See :class:`Library`."""
        return main_stack(network)
