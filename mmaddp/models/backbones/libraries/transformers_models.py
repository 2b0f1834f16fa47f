"""Networks of the library ``transformers``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmaddp.checkpoints.rules import Tensors
from mmaddp.utils import UserError, reason_of

from ...pixel_values import IMAGENET_MEAN, IMAGENET_STD
from .base import Library, hooked_outputs, main_stack, nearest_names, normalize_map, tokens_to_map

# Their attention knows no positions but rotary ones, and their blocks work on each token alone.
WINDOWED = (
    *('clip_vision_model', 'deit', 'dinov2', 'dinov2_with_registers', 'dinov3_vit', 'ijepa'),
    *('pixio', 'siglip_vision_model', 'vit', 'vit_mae', 'vit_msn'),
)
# Names of final norms.
NORMS = ('layernorm', 'norm')
# Those of single model types. CLIP's norm of SigLIP's name is for its class token alone.
OWN_NORMS = {'siglip_vision_model': 'post_layernorm', 'aimv2_vision_model': 'rms_norm'}
UNIT = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
OF_HALF = ('beit', 'bit', 'data2vec-vision', 'dpt', 'siglip_vision_model', 'vit')
OF_CLIP = (
    *('aimv2_vision_model', 'chinese_clip_vision_model', 'clip_vision_model', 'mlcd'),
    *('mlcd_vision_model', 'pixtral'),
)
# RADIO normalizes by itself; TIPS takes pixels in [0, 1].
OF_UNIT = ('radio', 'tipsv2', 'tipsv2_vision_model')
# Mean and std of the published weights by model type, where they are not ImageNet's. The defaults
# of the library's image processors differ from those of the published folders.
STATISTICS = {
    **dict.fromkeys(OF_HALF, HALF),
    **dict.fromkeys(OF_CLIP, CLIP),
    **dict.fromkeys(OF_UNIT, UNIT),
}


class TransformersModel(Library):
    """A vision model of a folder, of the hub, or of a model type such as 'dinov2'.

    Plain ViTs are run as ``AutoModel``, and their layers are the blocks; other networks are run as
    ``AutoBackbone``, and their layers are its stages. Code from the hub is never run.
    """

    prefix = 'hf'
    size_option = 'arguments=dict(image_size=…)'

    @property
    def own_folder(self) -> Path | None:
        """See :class:`Library`."""
        return Path(self.name) if Path(self.name).is_dir() else None

    @cached_property
    def config(self) -> Any:
        """The network's config.

        Raises:
            UserError: The folder, model type, name or argument is unknown.
        """
        from transformers import CONFIG_MAPPING, AutoConfig

        if self.name in CONFIG_MAPPING:
            config = AutoConfig.for_model(self.name, **self.arguments)
        else:
            config = self.read_config()
        self.check_arguments(config)
        if hasattr(config, 'mask_ratio'):  # MAE's encoder would hide most patches
            config.mask_ratio = 0.0
        if isinstance(getattr(config, 'hidden_sizes', None), tuple):  # some join it to a list
            config.hidden_sizes = list(config.hidden_sizes)
        return config

    def check_arguments(self, config: Any) -> None:
        """Refuse names that the config does not know; the library would keep and ignore them."""
        default = type(config)()
        for name in self.arguments:
            if not hasattr(default, name):
                close = nearest_names(name, default.to_dict())
                raise UserError(
                    f'hf:{self.name}: {config.model_type} has no argument {name}: did you mean '
                    f'{close or "another"}?'
                )

    def read_config(self) -> Any:
        """The config of a folder or of the hub."""
        from transformers import CONFIG_MAPPING, AutoConfig, __version__

        try:
            return AutoConfig.from_pretrained(self.name, **self.arguments)
        except Exception as error:  # the library and its hub have errors of many types
            if Path(self.name).is_dir():
                raise UserError(
                    f'hf:{self.name}: no config can be read ({reason_of(error)})'
                ) from None
            close = nearest_names(self.name.split('/')[-1], CONFIG_MAPPING)
            raise UserError(
                f'hf:{self.name} is no local folder, no model type of transformers '
                f'{__version__} (nearest: {close or "none"}), and cannot be fetched '
                'from the hub: check the name and the network'
            ) from None

    @cached_property
    def is_plain(self) -> bool:
        """Whether the network is a stack of equal blocks over patches."""
        config = self.config
        stages = hasattr(config, 'depths') or config.model_type == 'vitdet'
        # YOLOS appends detection tokens, which are no patches.
        appends = hasattr(config, 'num_detection_tokens')
        needed = ('hidden_size', 'patch_size', 'num_hidden_layers')
        sizes = all(isinstance(getattr(config, name, None), int) for name in needed)
        return sizes and not stages and not appends

    def build(self) -> nn.Module:
        """See :class:`Library`."""
        from transformers import MODEL_FOR_BACKBONE_MAPPING, AutoBackbone, AutoModel

        if not self.is_plain and type(self.config) not in MODEL_FOR_BACKBONE_MAPPING:
            raise UserError(
                f'hf:{self.name}: {self.config.model_type} gives no maps (B, C, h, w): it is '
                'neither a plain ViT nor an AutoBackbone of transformers'
            )
        if self.is_plain:
            return AutoModel.from_config(self.config)
        # The library lists the stem among the stages.
        self.config.out_features = [name for name in self.config.stage_names if name != 'stem']
        return AutoBackbone.from_config(self.config)

    def layers(self, network: nn.Module) -> list[str]:
        """See :class:`Library`."""
        kind = 'block' if self.is_plain else 'stage'
        count = len(self.blocks(network)) if self.is_plain else len(network.out_features)
        return [f'{kind}_{number}' for number in range(1, count + 1)]

    def maps(
        self, network: nn.Module, x: Tensor, layers: Sequence[str], time: None
    ) -> dict[str, Tensor]:
        """See :class:`Library`."""
        names = self.layers(network)
        if not self.is_plain:
            maps = dict(zip(names, network(x).feature_maps))
            return {name: maps[name] for name in names if name in layers}
        blocks = dict(zip(names, self.blocks(network)))
        side = self.config.patch_size
        grid = (x.shape[2] // side, x.shape[3] // side)
        options = self.call_options(network, x, grid)
        outputs = hooked_outputs(lambda: network(x, **options), blocks, layers)
        maps = {name: tokens_to_map(tokens, grid) for name, tokens in outputs.items()}
        norm = self.final_norm(network)
        wanted = {'last': names[-1:], 'all': names, 'none': []}[self.norm]
        return {n: normalize_map(norm, one) if n in wanted else one for n, one in maps.items()}

    def final_norm(self, network: nn.Module) -> nn.Module:
        """The norm of all tokens behind the last block."""
        names = (*NORMS, OWN_NORMS.get(self.config.model_type, ''))
        children = dict(network.named_children())
        return next((children[name] for name in names if name in children), nn.Identity())

    def call_options(self, network: nn.Module, x: Tensor, grid: tuple[int, int]) -> dict[str, Any]:
        """Further arguments of the network: any size, and all patches in their order."""
        known = inspect.signature(network.forward).parameters
        options: dict[str, Any] = {}
        if 'interpolate_pos_encoding' in known:
            options['interpolate_pos_encoding'] = True
        if 'noise' in known:  # MAE sorts patches by it
            order = torch.arange(grid[0] * grid[1], device=x.device, dtype=torch.float32)
            options['noise'] = order.expand(len(x), -1)
        return options

    def pixel_statistics(self, network: nn.Module) -> tuple[Sequence[float], Sequence[float]]:
        """Those of the folder's or the hub's image processor, else the model type's default."""
        told = self.processor
        default = STATISTICS.get(self.config.model_type, (IMAGENET_MEAN, IMAGENET_STD))
        mean = told.get('image_mean') or default[0]
        std = told.get('image_std') or default[1]
        if told.get('do_normalize') is False:
            mean, std = UNIT
        # Theirs are those of rescaled pixels, ours those of pixels / 255.
        scale = 1.0 if told.get('do_rescale') is False else told.get('rescale_factor') or 1 / 255
        factor = 255 * scale
        return [value / factor for value in mean], [value / factor for value in std]

    @cached_property
    def processor(self) -> dict[str, Any]:
        """Settings of the image processor beside the network's config; none for a model type."""
        from transformers import CONFIG_MAPPING
        from transformers.image_processing_base import ImageProcessingMixin

        if self.name in CONFIG_MAPPING:
            return {}
        try:
            return ImageProcessingMixin.get_image_processor_dict(self.name)[0]
        except OSError:  # there is none
            return {}

    def input_size(self, network: nn.Module) -> tuple[int, int]:
        """See :class:`Library`."""
        size = getattr(self.config, 'image_size', None) or 224
        return (size, size) if isinstance(size, int) else tuple(size)

    def blocks(self, network: nn.Module) -> list[nn.Module]:
        """See :class:`Library`."""
        if not self.is_plain:
            return main_stack(network)
        count = self.config.num_hidden_layers
        lists = (module for module in network.modules() if isinstance(module, nn.ModuleList))
        return list(next((blocks for blocks in lists if len(blocks) == count), ()))

    def attentions(self, network: nn.Module) -> list[nn.Module]:
        """See :class:`Library`."""
        if self.config.model_type not in WINDOWED:
            return []
        # CLIP and SigLIP call it otherwise.
        blocks = self.blocks(network)
        return [getattr(block, 'attention', None) or block.self_attn for block in blocks]

    def recompute(self, network: nn.Module) -> None:
        """See :class:`Library`."""
        # Reentrant checkpointing gives no gradients if the embeddings are frozen.
        network.gradient_checkpointing_enable(dict(use_reentrant=False))

    def fetch(self, network: nn.Module) -> list[str]:
        """Load the weights of the folder or of the hub."""
        # The library initializes what a file lacks, and only warns.
        source, told = type(network).from_pretrained(
            self.name, config=self.config, output_loading_info=True
        )
        network.load_state_dict(source.state_dict())
        return sorted(told['missing_keys'])

    def translate(self, state: Tensors, network: nn.Module) -> Tensors:
        """By the library's own table of old names and prefixes."""
        loaded, told = type(network).from_pretrained(
            None,
            config=self.config,
            state_dict=dict(state),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
        result = {n: t for n, t in loaded.state_dict().items() if n not in told['missing_keys']}
        for name, *_ in told['mismatched_keys']:
            result[name] = state.get(name, torch.zeros(()))
        spare = {name: state[name] for name in told['unexpected_keys'] if name in state}
        return {**result, **spare}

    @property
    def dropped(self) -> dict[str, str]:
        """See :class:`Library`."""
        why = 'another task has another head'
        heads = ('pooler', 'classifier', 'cls_classifier', 'distillation_classifier', 'lm_head')
        own = {rf'(.*\.)?{head}\.': why for head in heads}
        return {**super().dropped, **own, r'decoder\.': 'only pre-training decodes'}
