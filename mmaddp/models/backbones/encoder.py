"""Any network of another library as an encoder, by its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from mmaddp.checkpoints import WeightRules, fit, read_checkpoint
from mmaddp.checkpoints.convert import MODEL, own_meta
from mmaddp.checkpoints.folders import network_folder
from mmaddp.checkpoints.reader import naming
from mmaddp.checkpoints.rules import Tensors, under
from mmaddp.checkpoints.weights import find_weights
from mmaddp.registry import MODELS
from mmaddp.utils import UserError, check_choice, check_range, reason_of, shorten

from ..layers import pad_to_multiples
from ..layers.lora import base_name
from .base import BaseEncoder
from .libraries import Windows, find_library, measure, pad_image, windowed

NORMS = ('last', 'all', 'none')
# Where checkpoints of trainings with this package have the network.
OWN_PREFIXES = ('backbone.network.', 'encoder.network.', 'network.network.', 'network.')
# Kinds of tensors in the summary, each with what their names have; the first match counts.
PARTS = {
    'layer scale': r'(^|\.)(ls\d|gamma(_\d)?|layer_scale\d?|lambda_?\d)(\.|$)',
    'register tokens': r'reg(ister)?_tokens?$',
    'mask token': r'mask_token$',
    'class token': r'(cls|class|dist)_token$',
    'positions': r'pos_embed|position|rel_pos|relative',
    'norms': r'norm|(^|\.)(bn|ln)\d?(\.|$)',
    'network': '',
}
MIN_STRIDE = 4
NUM_GLOBAL = 4
GIB = 2**30
WEIGHT_FILES = ('.bin', '.safetensors')
UNNEEDED = 'left as initialized: no map needs it'


@MODELS.register_module()
class Encoder(BaseEncoder):
    """A network of another library: its maps, layers, pixels and depths, by its name.

    Args:
        model: 'timm:NAME'; 'hf:NAME', a name of the hub, a folder or a model type of transformers;
            'diffusers:FOLDER'; 'py:MODULE:FUNCTION', a function that builds the network; or
            'mmaddp:CLASS', a registered encoder.
        out_indices: Layers whose maps a backbone gives; negative ones count from the end. None for
            the last layer of a plain ViT, and for the last layer of each stride from 4 on of a
            hierarchical network, finest first.
        norm: The network's final norm for the map of the 'last' layer, for 'all' maps (as
            DINOv2's authors probe), or for 'none'. A hierarchical network has it at its last
            stage only.
        time: Time input of a denoising network.
        img_size: Input side, or (H, W), of networks that take one size only. Smaller images are
            padded to it.
        window_size: Side in tokens of the attention windows of a plain ViT; 0 makes all blocks
            global. Windows at the border are smaller: there is no padding.
        global_attn_indexes: Blocks that attend globally despite windows; None for four, evenly
            spaced, as in ViTDet.
        drop_path_rate: Stochastic depth, where the network has it.
        frozen: Train nothing, in evaluation mode.
        lora: Train low-rank adapters of attention, ``dict(rank=8)``, see :class:`LoRA`.
        frozen_stages: -1 trains all; n freezes all depths up to n, see :meth:`get_layer_depth`.
            Depth 0 are the embeddings.
        with_cp: Recompute activations in the backward pass.
        pretrained: Fetch the weights that the library publishes.
        arguments: Further arguments of the network's constructor.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``, see :meth:`load`.

    Attributes:
        network: The library's network, under whose own names the weights stand.
        depths: Depth of each parameter.

    Raises:
        UserError: No such library or network, a network without maps, or settings that it does
            not have.
    """

    def __init__(
        self,
        model: str,
        out_indices: Sequence[int] | None = None,
        norm: str = 'last',
        time: float | None = None,
        img_size: int | Sequence[int] | None = None,
        window_size: int = 0,
        global_attn_indexes: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        frozen: bool = False,
        lora: dict | None = None,
        frozen_stages: int = -1,
        with_cp: bool = False,
        pretrained: bool = False,
        arguments: Mapping[str, Any] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_choice('norm', norm, NORMS)
        check_range('window_size', window_size, 0)
        library, name = find_library(model)
        size = (img_size, img_size) if isinstance(img_size, int) else img_size and tuple(img_size)
        options = {'drop_path_rate': drop_path_rate} if drop_path_rate else {}
        self.library = library(name, size, {**options, **(arguments or {})}, norm)
        self.model, self.time, self.pretrained = model, time, pretrained
        self.frozen_stages = frozen_stages
        self.measured = measure(self.library)
        self.out_indices = self.find_indices(out_indices)
        self.network = self.library.build()
        self.depths = self.library.depths(self.network)
        self.unneeded = set(self.depths) - self.measured.reached(self.out_layers)
        # One for the heads behind the deepest block that any map needs
        self.num_depths = 2 + max(self.depths[name] for name in self.measured.reached(self.layers))
        self.windows = self.set_windows(window_size, global_attn_indexes) if window_size else None
        if with_cp:
            self.library.recompute(self.network)
        self.freeze()
        self.set_tuning(frozen, lora)

    @property
    def takes_time(self) -> bool:
        """Whether the network denoises."""
        return self.library.takes_time

    @property
    def in_channels(self) -> int:
        """Channels of the network's input."""
        return self.library.in_channels(self.network)

    @property
    def layers(self) -> list[str]:
        """Blocks 'block_1' … of a plain ViT, stages 'stage_1' … of a hierarchical network."""
        return list(self.measured.layers)

    @property
    def out_layers(self) -> list[str]:
        """The layers of ``out_indices``."""
        return [self.layers[index] for index in self.out_indices]

    @property
    def is_plain(self) -> bool:
        """Whether all layers have one stride."""
        return len({layer.stride for layer in self.measured.layers.values()}) == 1

    @property
    def pixel_values(self) -> dict:
        """See :class:`BaseEncoder`."""
        mean, std = self.library.pixel_statistics(self.network)
        return dict(
            type='ImgDataPreprocessor',
            mean=[round(255 * value, 4) for value in mean],
            std=[round(255 * value, 4) for value in std],
            bgr_to_rgb=True,
        )

    def channels(self, layer: str) -> int:
        """See :class:`BaseEncoder`."""
        return self.measured.layers[layer].channels

    def stride(self, layer: str) -> int:
        """Pixels of the image for one position of a layer's map."""
        return self.measured.layers[layer].stride * self.library.front_stride

    def layer_settings(self, layer: str, time: float | None = None) -> dict[str, Any]:
        """See :class:`BaseEncoder`."""
        index = dict(out_indices=[self.layers.index(layer)])
        return dict(index, time=time) if self.takes_time else index

    @property
    def autoencoder(self) -> nn.Module | None:
        """What gives the network's input, if that is latents."""
        return self.library.front

    def network_input(self, images: Tensor) -> Tensor:
        """The images (B, 3, H, W), or their latents, padded by zeros to whole positions."""
        images = self.library.network_input(self.network, images, self.time)
        if self.autoencoder is None:
            return images
        return self.autoencoder.encode(pad_to_multiples(images, self.library.front_stride))

    def find_indices(self, out_indices: Sequence[int] | None) -> list[int]:
        """Indices of the layers whose maps a backbone gives."""
        count = len(self.layers)
        if out_indices is None:
            # The last layer of each stride: later ones replace earlier ones.
            strides = {self.stride(layer): i for i, layer in enumerate(self.layers)}
            coarse = [s for s in sorted(strides) if s >= MIN_STRIDE] or [max(strides)]
            return [strides[stride] for stride in coarse]
        return self.counted('out_indices', out_indices, count)

    def counted(self, name: str, indices: Sequence[int], count: int) -> list[int]:
        """Indices of ``count`` layers, negative ones counted from the end."""
        wrong = [index for index in indices if not -count <= index < count]
        if wrong:
            raise UserError(f'{name}={wrong}: {self.model} has {count} layers')
        return [index % count for index in indices]

    def compute_maps(
        self, x: Tensor, time: Tensor | None, layers: Sequence[str]
    ) -> dict[str, Tensor]:
        """See :class:`BaseEncoder`; images are padded as the network needs them."""
        self.last_of(layers)
        size = x.shape[-2:]
        padded = self.padded_size(size)
        if self.windows is not None:
            # Tokens alone do not tell the aspect of their image.
            stride = self.stride(self.layers[0])
            self.windows.grid = (padded[0] // stride, padded[1] // stride)
        maps = self.library.maps(self.network, pad_image(x, padded), layers, time)
        if padded == tuple(size):
            return maps
        return {name: self.cut(one, name, size) for name, one in maps.items()}

    def padded_size(self, size: Sequence[int]) -> tuple[int, int]:
        """(H, W) that the network takes for an image of ``size``.

        Raises:
            UserError: The image is larger than the one size that the network takes.
        """
        if multiple := self.measured.multiple:
            return tuple(-(-side // multiple) * multiple for side in size)
        own = self.library.input_size(self.network)
        if size[0] > own[0] or size[1] > own[1]:
            remedy = self.library.size_option or f'img_size=({size[0]}, {size[1]})'
            raise UserError(
                f'{self.model} takes images of {own[0]} x {own[1]} pixels, these have '
                f'{size[0]} x {size[1]}: set {remedy}'
            )
        return own

    def cut(self, feature: Tensor, layer: str, size: Sequence[int]) -> Tensor:
        """A map without what belongs to the padding alone."""
        stride = self.measured.layers[layer].stride
        height, width = (-(-side // stride) for side in size)
        return feature[..., :height, :width]

    def set_windows(self, size: int, global_blocks: Sequence[int] | None) -> Windows | None:
        """Restrict the attention of all blocks but ``global_blocks`` to windows.

        If the blocks do not allow it, all stay global, and the log says what that takes.
        """
        attentions = self.library.attentions(self.network)
        if not attentions:
            print_log(self.cost_of_global_attention(), 'current')
            return None
        windows, count = Windows(size), len(attentions)
        if global_blocks is None:
            global_blocks = [count * (part + 1) // NUM_GLOBAL - 1 for part in range(NUM_GLOBAL)]
        global_blocks = self.counted('global_attn_indexes', global_blocks, count)
        for index in {*range(count)} - {*global_blocks}:
            attention = attentions[index]
            # A subclass in place: the library's block calls it, and parameters keep their names.
            attention.__class__, attention.windows = windowed(type(attention)), windows
        return windows

    def cost_of_global_attention(self, side: int = 1024) -> str:
        """A line that says what global attention takes."""
        if not self.is_plain:
            return f'{self.model} is no plain ViT: window_size is left out'
        tokens = (side // self.stride(self.layers[-1])) ** 2
        return (
            f'{self.model}: its blocks cannot attend within windows, so all are global: '
            f'{tokens:,} tokens at {side} x {side} pixels, and {4 * tokens**2 / GIB:.2f} GiB in '
            'float32 for the weights of each head, image and block where no fused kernel is used'
        )

    def freeze(self) -> None:
        """Stop the gradients of frozen depths, and of what no output needs."""
        for name, parameter in self.network.named_parameters():
            if name in self.unneeded or self.depths[base_name(name)] <= self.frozen_stages:
                parameter.requires_grad_(False)
        super().freeze()

    def train(self, mode: bool = True) -> Encoder:
        """Set the mode; frozen modules stay in evaluation mode."""
        super().train(mode)
        for module in self.network.modules() if mode and not self.frozen else ():
            parameters = [parameter.requires_grad for parameter in module.parameters()]
            if parameters and not any(parameters):
                module.eval()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise decay, in the library's own grouping.

        Args:
            param_name: Its name, such as ``network.blocks.3.mlp.fc1.weight``.
            prefix: Prefix of this module's parameters.

        Returns:
            The depth, 0 for the embeddings, and the number of depths with that of the heads.
        """
        name = param_name[len(prefix) + len('network.') :]
        return min(self.depths[base_name(name)], self.num_depths - 1), self.num_depths

    def init_weights(self) -> None:
        """Load the weights of ``init_cfg``, of the network's own folder, or the published ones."""
        if self.is_init:
            return
        folder = self.library.own_folder
        with self.base_alone():
            if self.init_cfg:
                self.load(self.init_cfg['checkpoint'], self.init_cfg.get('prefix'))
            elif folder and has_weights(folder):
                self.load(folder)
            elif self.pretrained:
                self.fetch()
            elif folder:
                line = f'{folder}: holds no weights, so {self.model} starts at random'
                print_log(line, 'current')
        self._is_init = True

    def fetch(self) -> None:
        """Load the weights that the library publishes.

        Raises:
            UserError: They cannot be had, or lack something that the maps need.
        """
        try:
            lacking = self.library.fetch(self.network)
        except UserError:
            raise
        except Exception as error:  # hubs and networks have errors of many types
            raise UserError(
                f'pretrained=True: the weights of {self.model} cannot be fetched '
                f'({reason_of(error)}): check the network, or name a file in '
                "init_cfg=dict(type='Pretrained', checkpoint=PATH)"
            ) from None
        needed = [name for name in lacking if name not in self.unneeded]
        if needed:
            raise UserError(
                f'pretrained=True: the published weights of {self.model} lack {shorten(needed)}'
            )
        fates = dict.fromkeys(self.network.state_dict(), 'kept')
        fates.update(dict.fromkeys(lacking, UNNEEDED))
        self.report('published weights', fates)

    def load(self, path: str | Path, prefix: str | None = None) -> None:
        """Load a file of the library, or a checkpoint of a training here.

        The log says what became of every tensor.

        Args:
            path: A file or folder.
            prefix: Where in the file the weights are, as in :func:`convert_checkpoint`.

        Raises:
            UserError: The file cannot be read or does not fit; nothing is loaded then.
        """
        if isinstance(self.network, BaseEncoder):
            with naming(path):
                told = own_meta(read_checkpoint(path)).get(MODEL, {})
                self.library.check_process(self.network, told)
            self.network.load(path, prefix or own_prefix(Path(path)))
            return
        checkpoint = self.library.read(Path(path))
        with naming(path), self.base_alone():
            weights = find_weights(checkpoint, self.recognizes, prefix)
            state, fates = self.fitted(weights.tensors)
            self.network.load_state_dict(state, strict=True)
        self.report(path, fates, weights.note)

    def report(self, source: str | Path, fates: Mapping[str, str], note: str = '') -> None:
        """Log what became of every tensor, by kind."""
        told = '; '.join(summary(fates) + ([note] if note else []))
        print_log(f'{source} loaded into {self.model}: {told}', 'current')

    def recognizes(self, tensors: Tensors) -> bool:
        """Whether most of the network's own names are there."""
        names = {name for name in self.network.state_dict() if name not in self.unneeded}
        own = [under(tensors, prefix) for prefix in OWN_PREFIXES] + [tensors]
        return any(2 * len(names & set(held)) > len(names) for held in own)

    def fitted(self, tensors: Tensors) -> tuple[dict[str, Tensor], dict[str, str]]:
        """A file's tensors as the network takes them, and what became of each.

        Raises:
            UserError: They do not fit.
        """
        wanted = self.network.state_dict()
        prefix = next((p for p in OWN_PREFIXES if any(n.startswith(p) for n in tensors)), '')
        state = under(tensors, prefix)
        outside = [name for name in tensors if not name.startswith(prefix)]
        fates = dict.fromkeys(outside, 'dropped: another network has its own')
        # Published files have names and shapes of their own, which the library's reader knows.
        if any(name not in state or state[name].shape != wanted[name].shape for name in wanted):
            state, lost = self.translated(state)
            fates.update(dict.fromkeys(lost, "dropped: the library's reader leaves it out"))
        # Files may lack what no map needs, such as a pooler.
        spare = {n: wanted[n] for n in self.unneeded if n in wanted and n not in state}
        rules = WeightRules(dropped=self.library.dropped)
        result = fit({**spare, **state}, self.network, rules=rules)
        return result.state_dict, {**fates, **result.fates, **dict.fromkeys(spare, UNNEEDED)}

    def translated(self, state: Tensors) -> tuple[dict[str, Tensor], list[str]]:
        """Tensors in the network's names, and the names of those that the library leaves out."""
        try:
            result = self.library.translate(state, self.network)
        except UserError:
            raise
        except Exception as error:  # the library expects a file of this very network
            raise UserError(f'does not fit {self.model} ({reason_of(error)})') from None
        # Renamed tensors and slices share memory with those of the file.
        lost = [name for name in state if name not in result and not shares(state[name], result)]
        made = [result[n] for n in result if n not in state and not shares(result[n], state)]
        # Queries, keys and values are joined into one tensor, which does not. Layer scales, norms
        # and tokens are never joined: a reader that leaves them out is always told.
        parts = [name for name in lost if kind_of(name) == 'network']
        if sum(state[name].numel() for name in parts) <= sum(tensor.numel() for tensor in made):
            lost = [name for name in lost if name not in parts]
        return result, lost


def own_prefix(path: Path) -> str | None:
    """Where a checkpoint of a training has an encoder's network; None in other files."""
    names = {} if path.is_dir() else read_checkpoint(path).get('state_dict', {})
    # 'network.' alone is also where a whole DDAE has its network.
    found = (p for p in OWN_PREFIXES[:-1] if any(str(name).startswith(p) for name in names))
    return next((f'state_dict.{prefix[:-1]}' for prefix in found), None)


def shares(tensor: Tensor, tensors: Tensors) -> bool:
    """Whether a tensor has its values in common with one of some tensors."""
    place = tensor.untyped_storage().data_ptr()
    return any(other.untyped_storage().data_ptr() == place for other in tensors.values())


def has_weights(folder: Path) -> bool:
    """Whether a folder holds weights beside a config."""
    network = network_folder(folder)
    return network is not None and any(f.suffix in WEIGHT_FILES for f in network.iterdir())


def summary(fates: Mapping[str, str]) -> list[str]:
    """What became of the tensors, by kind: 'layer scale (24) kept' and so on."""
    rows = Counter((kind_of(name), fate) for name, fate in fates.items())
    return [f'{kind} ({count}) {fate}' for (kind, fate), count in rows.items()]


def kind_of(name: str) -> str:
    """The row of the summary that tells a tensor."""
    return next(part for part, pattern in PARTS.items() if re.search(pattern, name))
