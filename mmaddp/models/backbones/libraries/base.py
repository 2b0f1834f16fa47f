"""What :class:`mmaddp.models.Encoder` knows of a network of another library."""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.checkpoints import read_checkpoint
from mmaddp.checkpoints.folders import open_folder
from mmaddp.checkpoints.reader import naming, read_tensors
from mmaddp.checkpoints.rules import Tensors
from mmaddp.models.layers import is_compiling
from mmaddp.utils import UserError, reason_of

MULTIPLES = (1, 2, 4, 7, 8)
# Two shapes that divide by little: what runs at both runs at any size.
TRIAL = ((5, 7), (9, 6))


class Layer(NamedTuple):
    """A layer whose map an encoder gives.

    Attributes:
        channels: C of its map.
        stride: Pixels of the image for one position of its map.
    """

    channels: int
    stride: int


class Library(ABC):
    """A network of another library: how it is built, run, grouped by depth and filled.

    The network itself belongs to the encoder; every method gets it.

    Args:
        name: The network's name in its library, or a folder.
        img_size: (H, W) for networks of one input size; None for the network's own.
        arguments: Further arguments of the library's constructor.
        norm: Which maps pass the network's final norm: 'last', 'all' or 'none'.

    Attributes:
        prefix: What stands before the name in ``model``.
        takes_time: Whether the network denoises.
        front: Autoencoder between images and the network's input.
        front_stride: Pixels of the image for one position of that input.
        pads: Whether the network itself takes images of any size.
        size_option: The setting of the network's input size, if it is not ``img_size``.
        dropped: Why tensors of a file may be dropped, by regular expression.
    """

    prefix = ''
    takes_time = False
    front: nn.Module | None = None
    front_stride = 1
    pads = False
    size_option = ''
    dropped: Mapping[str, str] = {r'(.*\.)?mask_token$': 'only pre-training masks'}

    def __init__(
        self,
        name: str,
        img_size: tuple[int, int] | None,
        arguments: Mapping[str, Any],
        norm: str,
    ) -> None:
        self.name, self.img_size, self.norm = name, img_size, norm
        if img_size and self.size_option:
            raise UserError(f'img_size: not for {self.prefix}:{name}: set {self.size_option}')
        self.arguments = dict(arguments)

    @property
    def own_folder(self) -> Path | None:
        """The folder that the name is, for libraries that take folders."""
        return None

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with random weights; it may be built on the meta device."""

    @abstractmethod
    def layers(self, network: nn.Module) -> list[str]:
        """Names of the layers, in order of computation."""

    @abstractmethod
    def maps(
        self, network: nn.Module, x: Tensor, layers: Sequence[str], time: Tensor | None
    ) -> dict[str, Tensor]:
        """Maps (B, C, h, w) of ``layers``, from one pass that ends behind the last of them."""

    def network_input(self, network: nn.Module, images: Tensor, time: float | None) -> Tensor:
        """Prepare images (B, 3, H, W) for the network, or for the autoencoder before it."""
        return images

    def check_process(self, network: nn.Module, meta: Mapping[str, Any]) -> None:
        """Refuse a file if the network lacks its diffusion process; ``meta`` is the file's."""
        return

    def strides(self, network: nn.Module) -> dict[str, int]:
        """Strides of the layers, where the library tells them."""
        return {}

    def pixel_statistics(self, network: nn.Module) -> tuple[Sequence[float], Sequence[float]]:
        """Mean and std of RGB pixels in [0, 1] that the network expects."""
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def input_size(self, network: nn.Module) -> tuple[int, int]:
        """(H, W) that the network was made for."""
        return self.img_size or (224, 224)

    def in_channels(self, network: nn.Module) -> int:
        """Channels of the network's input."""
        return 3

    def blocks(self, network: nn.Module) -> list[nn.Module]:
        """The modules of the layers, for depths."""
        return []

    def depths(self, network: nn.Module) -> dict[str, int]:
        """Depth of each parameter for layer-wise decay: 0 for the embeddings, then the blocks."""
        return depths_by_blocks(network, self.blocks(network))

    def attentions(self, network: nn.Module) -> list[nn.Module]:
        """The attention of each block, if it can be restricted to windows; none otherwise."""
        return []

    def recompute(self, network: nn.Module) -> None:
        """Recompute activations in the backward pass."""
        raise UserError(f'with_cp: {self.prefix}:{self.name} has no activation checkpointing')

    def fetch(self, network: nn.Module) -> list[str]:
        """Load the weights that the library publishes; returns the names that they lack."""
        raise UserError(f'pretrained=True: {self.prefix}:{self.name} has no published weights')

    def read(self, path: Path) -> dict[str, Any]:
        """Read a file, or all files of a folder, as data."""
        folder = open_folder(path) if path.is_dir() else None
        if folder is None:
            return read_checkpoint(path)
        with naming(path):
            return {'state_dict': read_tensors(folder.files)}

    def translate(self, state: Tensors, network: nn.Module) -> Tensors:
        """A file's tensors under the network's names and in its shapes, as far as possible."""
        return state


@dataclass(frozen=True)
class Measured:
    """What trial runs without weights tell.

    Attributes:
        layers: The layers by name.
        multiple: Sides of images are padded to multiples of it; 0 for one size only.
        needs: Names of the parameters that each layer's map needs.
    """

    layers: dict[str, Layer]
    multiple: int
    needs: dict[str, frozenset[str]]

    def reached(self, layers: Sequence[str]) -> set[str]:
        """The parameters that some maps need."""
        return set().union(*(self.needs[layer] for layer in layers))


def measure(library: Library) -> Measured:
    """Run a network without weights to learn the shapes of its maps and which images it takes.

    Raises:
        UserError: The network gives no maps.
    """
    try:
        with torch.device('meta'):
            network = library.build().eval()
    except TypeError as error:  # an unknown argument, or a function that returns no module
        raise UserError(f'{library.prefix}:{library.name}: {reason_of(error)}') from error
    size = library.input_size(network)
    try:
        shapes = map_shapes(library, network, size)
    except UserError:
        raise
    except Exception as error:  # networks have errors of many types
        raise UserError(
            f'{library.prefix}:{library.name} gives no maps (B, C, h, w) of images of '
            f'{size[0]} x {size[1]} pixels ({reason_of(error)}): an encoder needs them'
        ) from None
    # Where the library gives no stride, compute it from the size of the map.
    told = library.strides(network)
    layers = {
        name: Layer(shape[0], told.get(name) or max(1, round(size[0] / shape[1])))
        for name, shape in shapes.items()
    }
    multiple = 1 if library.pads else find_multiple(library, network, layers)
    # In evaluation mode some networks cache tables of positions, which cuts their gradients.
    return Measured(layers, multiple, find_needs(library, network.train(), size))


@torch.enable_grad()
def find_needs(
    library: Library, network: nn.Module, size: tuple[int, int]
) -> dict[str, frozenset[str]]:
    """Names of the parameters that each layer's map needs, by the graph of gradients."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    maps = run(library, network, size)
    return {
        layer: frozenset(names[leaf] for leaf in leaves(one) if leaf in names)
        for layer, one in maps.items()
    }


def leaves(output: Tensor) -> set[int]:
    """Ids of the tensors that gradients of ``output`` reach.

    The graph is only walked: running it backward for each layer would take quadratic time.
    """
    found, seen, nodes = set(), set(), [output.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes += [child for child, _ in node.next_functions]
        # Only the nodes that accumulate gradients have a variable. The others add the id of None,
        # which no parameter has.
        found.add(id(getattr(node, 'variable', None)))
    return found


def run(library: Library, network: nn.Module, size: tuple[int, int]) -> dict[str, Tensor]:
    """All maps of an empty image of ``size``, on the device of the network."""
    device = next(network.parameters()).device
    x = torch.zeros(1, library.in_channels(network), *size, device=device)
    time = torch.zeros(1, device=device) if library.takes_time else None
    with device:
        return library.maps(network, x, library.layers(network), time)


def find_multiple(library: Library, network: nn.Module, layers: Mapping[str, Layer]) -> int:
    """The least multiple of pixels to which sides must be padded; 0 if only one size runs."""
    strides = {layer.stride for layer in layers.values()}
    coarsest = max(strides)
    # A plain ViT would leave out the pixels that do not fill a patch.
    sizes = [1] if len(strides) > 1 else []
    for multiple in sizes + [coarsest * times for times in MULTIPLES]:
        tries = TRIAL if multiple > 1 else ((6 * coarsest + 5, 4 * coarsest + 3),)
        runs = [(multiple * h, multiple * w) for h, w in tries]
        if all(fits(trial(library, network, size), layers, size) for size in runs):
            return multiple
    return 0


def fits(
    shapes: Mapping[str, tuple] | None, layers: Mapping[str, Layer], size: tuple[int, int]
) -> bool:
    """Whether the maps of an image have the channels and sizes that they must have."""
    return shapes is not None and all(
        shapes[name][0] == layer.channels
        and all(
            side // layer.stride <= got <= -(-side // layer.stride) + 1
            for side, got in zip(size, shapes[name][1:])
        )
        for name, layer in layers.items()
    )


Shapes = dict[str, tuple[int, ...]]


@torch.no_grad()
def map_shapes(library: Library, network: nn.Module, size: tuple[int, int]) -> Shapes:
    """(C, h, w) of all maps of an image of ``size``.

    Raises:
        Exception: The network refuses the image, or its outputs are no maps.
    """
    maps = run(library, network, size)
    wrong = [tuple(one.shape) for one in maps.values() if one.ndim != 4 or 0 in one.shape]
    if wrong or not maps:
        raise TypeError(f'its output has the shape {wrong[0]}' if wrong else 'it has no layers')
    return {name: tuple(one.shape[1:]) for name, one in maps.items()}


def trial(library: Library, network: nn.Module, size: tuple[int, int]) -> Shapes | None:
    """(C, h, w) of all maps of an image of ``size``; None where the network refuses it."""
    try:
        return map_shapes(library, network, size)
    except Exception:  # networks have errors of many types
        return None


class Reached(Exception):  # noqa: N818
    """The last layer that is wanted has been computed."""


def hooked_outputs(
    run: Any, modules: Mapping[str, nn.Module], layers: Sequence[str]
) -> dict[str, Tensor]:
    """What some modules give during a run, which ends behind the last of them.

    Args:
        run: Calls the network.
        modules: Modules by the names of their layers, in order of computation.
        layers: The layers wanted.
    """
    last = max(layers, key=list(modules).index)
    outputs: dict[str, Tensor] = {}

    def keep(name: str, output: Any) -> None:
        # Some blocks return a tuple: their output, then attention weights or a cache.
        outputs[name] = output[0] if isinstance(output, (tuple, list)) else output
        if name == last and not is_compiling():
            # An exception ends the pass, so the later layers cost nothing. torch.export traces the
            # whole pass and drops these layers itself.
            raise Reached

    hooks = [
        modules[name].register_forward_hook(lambda _m, _i, output, name=name: keep(name, output))
        for name in layers
    ]
    try:
        run()
    except Reached:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return {name: outputs[name] for name in sorted(outputs, key=list(modules).index)}


def depths_by_blocks(network: nn.Module, blocks: Sequence[nn.Module]) -> dict[str, int]:
    """Depths of parameters by the blocks that hold them.

    What is registered before the first block has depth 0, what follows has the last one.
    """
    owner = {id(p): i + 1 for i, block in enumerate(blocks) for p in block.parameters()}
    depths, seen = {}, False
    for name, parameter in network.named_parameters():
        seen = seen or id(parameter) in owner
        depths[name] = owner.get(id(parameter), len(blocks) + 1 if seen else 0)
    return depths


def main_stack(network: nn.Module) -> list[nn.Module]:
    """The list of modules that holds most of a network: a transformer's blocks, or the stages."""
    stacks = [
        module
        for module in network.modules()
        if isinstance(module, (nn.ModuleList, nn.Sequential)) and len(module) > 1
    ]
    # The outermost comes first where several hold the same.
    size = {id(stack): sum(p.numel() for p in stack.parameters()) for stack in stacks}
    return list(max(stacks, key=lambda stack: size[id(stack)], default=[]))


def tokens_to_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, P + h * w, C) -> (B, C, h, w), without the P tokens in front."""
    return tokens[:, tokens.shape[1] - grid[0] * grid[1] :].transpose(1, 2).unflatten(2, grid)


def normalize_map(norm: nn.Module, x: Tensor) -> Tensor:
    """A norm over the channels of a map (B, C, h, w)."""
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def pad_image(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pad by zeros at the right and the bottom."""
    height, width = (want - have for want, have in zip(size, x.shape[-2:]))
    return F.pad(x, (0, width, 0, height)) if height or width else x


def nearest_names(name: str, known: Iterable[str], most: int = 3) -> str:
    """The names most like ``name``, for a message."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=most, cutoff=0.4)
    # Most wrong names of networks are a part of the right one.
    words = [word for word in re.split(r'[^a-z0-9]+', name.lower()) if word]
    close += [one for one in known if one not in close and all(w in one.lower() for w in words)]
    return ', '.join(close[:most])
