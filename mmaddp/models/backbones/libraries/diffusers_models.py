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
from mmaddp.checkpoints.folders import (
    CONFIG,
    DIT,
    PIPELINE,
    SIT,
    network_folder,
    read_config,
    read_json,
)
from mmaddp.registry import MODELS
from mmaddp.utils import UserError, check_choice, reason_of, require

from .base import Library, hooked_outputs, nearest_names, tokens_to_map

UNETS = ('UNet2DModel', 'UNet2DConditionModel')
KNOWN = (*UNETS, *DIT, SIT)
ARGUMENTS = ('autoencoder', 'prompt')
# What a pipeline may have between images and the network, and the classes that encode by it.
AUTOENCODER_FOLDERS = ('vae', 'vqvae', 'movq')
AUTOENCODERS = {
    'AutoencoderKL': 'mmaddp.KLAutoencoder',
    'AutoencoderRAE': 'mmaddp.RepresentationAutoencoder',
}


class DiffusersModel(Library):
    """A UNet, DiT or SiT of a folder of the network or of a whole pipeline.

    Layers of a UNet are 'mid' and the blocks on the way up, 'out_1' and so on, as those of
    :class:`mmaddp.models.DiffusersUNet`; those of a transformer are 'block_1' and so on. The input
    is an image or, if the pipeline has an autoencoder, its latents.

    SiT is not a class of the library: folders bring its code, which is never run. Its network is
    DiT's, so :class:`mmaddp.models.DDAEDiT` takes the weights.

    Arguments of the constructor: ``autoencoder``, the folder of one where the pipeline has none,
    and ``prompt``, a file with the tensors 'prompt_embeds' (1, N, C) and, for SDXL, 'text_embeds'
    (1, C). Without it the prompt is empty, embedded by the pipeline's own text encoders.
    """

    prefix = 'diffusers'
    takes_time = True
    size_option = 'the size in the config of its folder'
    dropped = {}

    @property
    def own_folder(self) -> Path:
        """See :class:`Library`."""
        return Path(self.name)

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
        name = config.get('_class_name', 'no class')
        if name not in KNOWN:
            close = nearest_names(name, KNOWN) or ', '.join(KNOWN)
            raise UserError(f'diffusers:{self.name}: holds {name}; maps are known of {close}')
        return config

    @property
    def pads(self) -> bool:
        """See :class:`Library`: DDAEDiT does."""
        return self.kind == SIT

    @property
    def kind(self) -> str:
        """The name of the network's class."""
        return self.config['_class_name']

    @property
    def is_unet(self) -> bool:
        """Whether the network is a UNet, not a transformer."""
        return self.kind in UNETS

    def build(self) -> nn.Module:
        """See :class:`Library`."""
        import diffusers

        for name in self.arguments:
            check_choice('arguments', name, ARGUMENTS)
        if self.kind == SIT:
            return build_sit(self.config)
        return getattr(diffusers, self.kind).from_config(self.config)

    def layers(self, network: nn.Module) -> list[str]:
        """See :class:`Library`."""
        return list(self.modules(network))

    def modules(self, network: nn.Module) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers."""
        if not self.is_unet:
            blocks = self.blocks(network)
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
        if self.kind == SIT:
            names = dict(zip(self.layers(network), network.layers))
            maps = network.forward_intermediates(x, [names[layer] for layer in layers], time)
            return {name: maps[own] for name, own in names.items() if own in maps}
        conditions = self.conditions(network, x)
        maps = hooked_outputs(lambda: network(x, time, **conditions), self.modules(network), layers)
        if self.is_unet:
            return maps
        side = self.config['patch_size']
        # Each token is a patch of the latents; the tokens are in row order.
        grid = (x.shape[2] // side, x.shape[3] // side)
        return {name: tokens_to_map(tokens, grid) for name, tokens in maps.items()}

    def conditions(self, network: nn.Module, x: Tensor) -> dict[str, Any]:
        """What the network is told beside the time: an empty prompt, or the null class."""
        batch, conditions = len(x), {}
        if self.kind == 'UNet2DConditionModel':
            prompt = self.prompt['prompt_embeds'].to(x)
            conditions['encoder_hidden_states'] = prompt.expand(batch, -1, -1)
            if self.is_xl:
                conditions['added_cond_kwargs'] = self.xl_conditions(x)
        elif not self.is_unet:
            # DiT's last class stands for none.
            null = self.config.get('num_embeds_ada_norm', 1000)
            conditions['class_labels'] = torch.full((batch,), null, device=x.device)
        elif network.class_embedding is not None:
            conditions['class_labels'] = torch.zeros(batch, dtype=torch.long, device=x.device)
        return conditions

    @property
    def is_xl(self) -> bool:
        """Whether the network also takes a pooled embedding and sizes, as SDXL does."""
        return self.config.get('addition_embed_type') == 'text_time'

    def xl_conditions(self, x: Tensor) -> dict[str, Tensor]:
        """SDXL's pooled prompt, and the sizes of an uncropped image."""
        height, width = (side * self.front_stride for side in x.shape[2:])
        # original size, corner of the crop, target size
        sizes = x.new_tensor([height, width, 0, 0, height, width])
        text = self.prompt['text_embeds'].to(x)
        return dict(text_embeds=text.expand(len(x), -1), time_ids=sizes.expand(len(x), -1))

    @cached_property
    def prompt(self) -> dict[str, Tensor]:
        """The embedding of the prompt: given, of an empty one, or zeros."""
        # The first run, which needs it, is on the meta device.
        with torch.device('cpu'):
            zeros = self.zero_prompt()
            if 'prompt' in self.arguments:
                held = read_checkpoint(self.arguments['prompt'])
                return {**zeros, **held.get('state_dict', held)}
            pipeline = self.folder.parent
            if self.is_xl and forces_zeros(pipeline):
                return zeros
            if any(pipeline.glob(f'text_encoder*/{CONFIG}')):
                return {**zeros, **embed_prompt(pipeline, pooled=self.is_xl)}
        print_log(
            f'diffusers:{self.name}: takes zeros for the prompt: give its embedding in '
            "arguments=dict(prompt=FILE) with 'prompt_embeds'"
            + (" and 'text_embeds'" if self.is_xl else ''),
            'current',
        )
        return zeros

    def zero_prompt(self) -> dict[str, Tensor]:
        """Zeros in the shape of a prompt's embedding."""
        width = self.config.get('cross_attention_dim', 1280)
        width = width if isinstance(width, int) else width[0]
        # CLIP's text encoders pad prompts to 77 tokens.
        zeros = {'prompt_embeds': torch.zeros(1, 77, width)}
        if self.is_xl:
            # The pooled prompt and embeddings of six sizes are joined.
            sizes = 6 * self.config['addition_time_embed_dim']
            joined = self.config['projection_class_embeddings_input_dim']
            zeros['text_embeds'] = torch.zeros(1, joined - sizes)
        return zeros

    @cached_property
    def front(self) -> nn.Module | None:
        """The autoencoder between images and the network; None for a network of images.

        Raises:
            UserError: It is of another kind than those that we have.
        """
        given = self.arguments.get('autoencoder')
        folders = [Path(given)] if given else [self.folder.parent / n for n in AUTOENCODER_FOLDERS]
        folder = next((one for one in folders if (one / CONFIG).is_file()), None)
        if folder is None:
            return None
        config = read_config(folder)
        kind = config.get('_class_name')
        # Our autoencoders scale latents but do not shift them.
        if kind not in AUTOENCODERS or config.get('shift_factor'):
            found = f'{kind} with a shift_factor' if kind in AUTOENCODERS else kind
            raise UserError(f'{folder}: holds {found}; give one of {", ".join(AUTOENCODERS)}')
        return MODELS.build(
            dict(
                type=AUTOENCODERS[kind],
                folder=str(folder),
                # Old configs of Stable Diffusion do not have the factor.
                scale=config.get('scaling_factor', 0.18215 if kind == 'AutoencoderKL' else 1.0),
            )
        )

    @property
    def front_stride(self) -> int:
        """Pixels of the image for one position of the network's input."""
        return 1 if self.front is None else self.front.stride

    def input_size(self, network: nn.Module) -> tuple[int, int]:
        """See :class:`Library`."""
        size = self.config.get('input_size' if self.kind == SIT else 'sample_size') or 32
        return (size, size) if isinstance(size, int) else tuple(size)

    def in_channels(self, network: nn.Module) -> int:
        """See :class:`Library`."""
        return self.config.get('in_channels', 4)

    def blocks(self, network: nn.Module) -> list[nn.Module]:
        """Blocks in the order of computation."""
        if self.is_unet:
            return [*network.down_blocks, network.mid_block, *network.up_blocks]
        return list(network.blocks if self.kind == SIT else network.transformer_blocks)

    def recompute(self, network: nn.Module) -> None:
        """See :class:`Library`."""
        if self.kind == SIT:
            network.with_cp = True
        else:
            network.enable_gradient_checkpointing()


def build_sit(config: dict[str, Any]) -> nn.Module:
    """The network of a folder of SiT or REPA."""
    arch = dict(
        embed_dims=config['hidden_size'], num_layers=config['depth'], num_heads=config['num_heads']
    )
    same = ('input_size', 'patch_size', 'in_channels', 'num_classes', 'learn_sigma')
    settings = {name: config[name] for name in same if name in config}
    return MODELS.build(dict(type='mmaddp.DDAEDiT', arch=arch, **settings))


def forces_zeros(pipeline: Path) -> bool:
    """Whether zeros stand for an empty prompt, as SDXL was trained."""
    index = pipeline / PIPELINE
    return index.is_file() and bool(read_json(index).get('force_zeros_for_empty_prompt'))


@torch.no_grad()
def embed_prompt(pipeline: Path, pooled: bool, text: str = '') -> dict[str, Tensor]:
    """A prompt's embedding (1, N, C) by a pipeline's own text encoders.

    Args:
        pipeline: Folder with ``tokenizer`` and ``text_encoder``, and with ``tokenizer_2`` and
            ``text_encoder_2`` for SDXL.
        pooled: As SDXL: the last layer but one of both encoders, and 'text_embeds' (1, C) of the
            second one. Otherwise the output of the only one.
        text: The prompt.

    Raises:
        UserError: ``transformers`` is not installed, or the folders cannot be read.
    """
    require(f'{pipeline}: the embedding of the prompt', 'transformers')
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    outputs = []
    for suffix, kind in (('', CLIPTextModel), ('_2', CLIPTextModelWithProjection)):
        folder = pipeline / f'text_encoder{suffix}'
        if not folder.is_dir():
            continue
        try:
            tokenizer = CLIPTokenizer.from_pretrained(pipeline / f'tokenizer{suffix}')
            encoder = kind.from_pretrained(folder)
        except Exception as error:  # the library has errors of many types
            raise UserError(f'{folder}: no text encoder can be read ({reason_of(error)})') from None
        tokens = tokenizer(
            text,
            padding='max_length',
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors='pt',
        )
        outputs.append(encoder.eval()(tokens.input_ids, output_hidden_states=True))
    if not pooled:
        return {'prompt_embeds': outputs[0].last_hidden_state}
    states = [output.hidden_states[-2] for output in outputs]
    return {'prompt_embeds': torch.cat(states, dim=-1), 'text_embeds': outputs[-1].text_embeds}
