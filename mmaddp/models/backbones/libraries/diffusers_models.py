"""Denoising networks of the library ``diffusers``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmaddp.checkpoints import read_checkpoint
from mmaddp.checkpoints.folders import CONFIG, PIPELINE, network_folder, read_config
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from .base import Library, depths_by_blocks, hooked_outputs, nearest_names, tokens_to_map

UNETS = ('UNet2DModel', 'UNet2DConditionModel')
TRANSFORMERS = ('DiTTransformer2DModel', 'Transformer2DModel')
SIGNED = (0.5, 0.5, 0.5)


class DiffusersModel(Library):
    """A UNet, or a DiT or SiT, of a folder of the network or of a whole pipeline.

    Layers of a UNet are 'mid' and the blocks on the way up, 'out_1' and so on, as those of
    :class:`mmaddp.models.DiffusersUNet`; those of a transformer are 'block_1' and so on. The input
    is an image or, if the pipeline has an autoencoder, its latents.

    Arguments of the constructor: ``autoencoder``, the folder of one where the pipeline has none,
    and ``prompt``, a file with the tensors 'prompt_embeds' (1, N, C) and, for SDXL, 'text_embeds'
    (1, C). Without it the prompt is empty, by the pipeline's own text encoder.
    """

    prefix = 'diffusers'
    takes_time = True
    dropped = {}

    @cached_property
    def folder(self) -> Path:
        """The folder of the network.

        Raises:
            UserError: There is none.
        """
        folder = network_folder(Path(self.name))
        if folder is None:
            raise UserError(
                f'diffusers:{self.name}: has neither {PIPELINE} nor {CONFIG}: give a local folder, '
                'as `hf download` or save_pretrained makes it'
            )
        return folder

    @cached_property
    def config(self) -> dict[str, Any]:
        """The network's config.

        Raises:
            UserError: Its class is none of those whose maps are known.
        """
        config = read_config(self.folder)
        known = (*UNETS, *TRANSFORMERS)
        name = config.get('_class_name', 'no class')
        if name not in known:
            close = nearest_names(name, known) or ', '.join(known)
            raise UserError(f'diffusers:{self.name}: holds {name}; maps are known of {close}')
        return config

    @property
    def is_unet(self) -> bool:
        """Whether the network is a UNet, not a transformer."""
        return self.config['_class_name'] in UNETS

    def build(self) -> nn.Module:
        """See :class:`Library`."""
        import diffusers

        return getattr(diffusers, self.config['_class_name']).from_config(self.config)

    def layers(self, network: nn.Module) -> list[str]:
        """See :class:`Library`."""
        return list(self.modules(network))

    def modules(self, network: nn.Module) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers."""
        if not self.is_unet:
            blocks = network.transformer_blocks
            return {f'block_{number}': block for number, block in enumerate(blocks, start=1)}
        modules = {'mid': network.mid_block}
        for block in network.up_blocks:
            # Attention follows each residual block, where there is any.
            for one in getattr(block, 'attentions', block.resnets):
                modules[f'out_{len(modules)}'] = one
        return modules

    def maps(
        self, network: nn.Module, x: Tensor, layers: Sequence[str], time: Tensor
    ) -> dict[str, Tensor]:
        """See :class:`Library`."""
        conditions = self.conditions(network, x)
        maps = hooked_outputs(lambda: network(x, time, **conditions), self.modules(network), layers)
        if self.is_unet:
            return maps
        side = self.config['patch_size']
        grid = (x.shape[2] // side, x.shape[3] // side)
        return {name: tokens_to_map(tokens, grid) for name, tokens in maps.items()}

    def conditions(self, network: nn.Module, x: Tensor) -> dict[str, Any]:
        """What the network is told beside the time: an empty prompt, or the null class."""
        batch, conditions = len(x), {}
        if self.config['_class_name'] == 'UNet2DConditionModel':
            prompt = self.prompt['prompt_embeds'].to(x)
            conditions['encoder_hidden_states'] = prompt.expand(batch, -1, -1)
            if self.config.get('addition_embed_type') == 'text_time':
                size = x.new_tensor([*x.shape[2:], 0, 0, *x.shape[2:]]) * self.front_stride
                text = self.prompt['text_embeds'].to(x).expand(batch, -1)
                conditions['added_cond_kwargs'] = dict(
                    text_embeds=text, time_ids=size.expand(batch, -1)
                )
        elif not self.is_unet:  # DiT's last class stands for none
            null = self.config.get('num_embeds_ada_norm', 1000)
            conditions['class_labels'] = torch.full((batch,), null, device=x.device)
        elif network.class_embedding is not None:
            conditions['class_labels'] = torch.zeros(batch, dtype=torch.long, device=x.device)
        return conditions

    @cached_property
    def prompt(self) -> dict[str, Tensor]:
        """The embedding of the prompt."""
        width = self.config.get('cross_attention_dim', 1280)
        width = width if isinstance(width, int) else width[0]
        pooled = self.config.get('projection_class_embeddings_input_dim') or 0
        pooled -= 6 * (self.config.get('addition_time_embed_dim') or 0)
        zeros = dict(
            prompt_embeds=torch.zeros(1, 77, width, device='cpu'),
            text_embeds=torch.zeros(1, max(pooled, 0), device='cpu'),
        )
        if 'prompt' in self.arguments:
            held = read_checkpoint(self.arguments['prompt'])
            return {**zeros, **held.get('state_dict', held)}
        if pooled <= 0 and (self.folder.parent / 'text_encoder' / CONFIG).is_file():
            with torch.device('cpu'):
                return {**zeros, 'prompt_embeds': empty_prompt(self.folder.parent)}
        print_log(
            f'diffusers:{self.name}: takes zeros for the prompt: give its embedding in '
            "arguments=dict(prompt=FILE) with 'prompt_embeds'"
            + (" and 'text_embeds'" if pooled > 0 else ''),
            'current',
        )
        return zeros

    @cached_property
    def front(self) -> nn.Module | None:
        """The autoencoder between images and the network; None for a network of images."""
        folder = self.arguments.get('autoencoder') or self.folder.parent / 'vae'
        if not (Path(folder) / CONFIG).is_file():
            return None
        scale = read_config(Path(folder)).get('scaling_factor', 0.18215)
        return MODELS.build(dict(type='mmaddp.KLAutoencoder', folder=str(folder), scale=scale))

    @property
    def front_stride(self) -> int:
        """Pixels of the image for one position of the network's input."""
        return 1 if self.front is None else self.front.stride

    def pixel_statistics(self, network: nn.Module) -> tuple[Sequence[float], Sequence[float]]:
        """See :class:`Library`: images in [-1, 1]."""
        return SIGNED, SIGNED

    def input_size(self, network: nn.Module) -> tuple[int, int]:
        """See :class:`Library`."""
        size = self.config.get('sample_size') or 32
        return self.img_size or ((size, size) if isinstance(size, int) else tuple(size))

    def in_channels(self, network: nn.Module) -> int:
        """See :class:`Library`."""
        return self.config['in_channels']

    def depths(self, network: nn.Module) -> dict[str, int]:
        """By blocks in the order of computation."""
        if not self.is_unet:
            return depths_by_blocks(network, list(network.transformer_blocks))
        blocks = [*network.down_blocks, network.mid_block, *network.up_blocks]
        return depths_by_blocks(network, blocks)

    def recompute(self, network: nn.Module) -> None:
        """See :class:`Library`."""
        network.enable_gradient_checkpointing()


def empty_prompt(pipeline: Path) -> Tensor:
    """The embedding (1, N, C) of an empty prompt, by a pipeline's own text encoder.

    Raises:
        ImportError: ``transformers`` is not installed.
    """
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(pipeline / 'tokenizer', local_files_only=True)
    encoder = CLIPTextModel.from_pretrained(pipeline / 'text_encoder', local_files_only=True)
    tokens = tokenizer('', padding='max_length', return_tensors='pt')
    with torch.no_grad():
        return encoder(tokens.input_ids)[0]
