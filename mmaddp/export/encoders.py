"""Plain ViT encoders in the layouts of timm and transformers, as folders that these load."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from mmaddp.checkpoints.files import own_storage
from mmaddp.models import ADDPViT, MAGEViT
from mmaddp.models.backbones import BaseEncoder
from mmaddp.utils import UserError, atomic_write, write_json

WEIGHTS = 'model.safetensors'
# Names in a block of transformers' ViT and of its CLIP's, for ours.
_VIT_BLOCK = {
    'norm1': 'layernorm_before',
    'attn.proj': 'attention.output.dense',
    'norm2': 'layernorm_after',
    'mlp.fc1': 'intermediate.dense',
    'mlp.fc2': 'output.dense',
}
_CLIP_BLOCK = {
    'norm1': 'layer_norm1',
    'attn.proj': 'self_attn.out_proj',
    'norm2': 'layer_norm2',
    'mlp.fc1': 'mlp.fc1',
    'mlp.fc2': 'mlp.fc2',
}


@dataclass(frozen=True)
class EncoderFiles:
    """An encoder in another library's layout.

    Attributes:
        config: What ``config.json`` has.
        state_dict: Names and tensors of ``model.safetensors``.
        preprocessor: What ``preprocessor_config.json`` has; None for no such file.
        usage: A line of Python that loads the folder ``{out}``.
        note: What differs from the encoder here, if anything.
    """

    config: dict[str, Any]
    state_dict: dict[str, Tensor]
    usage: str
    preprocessor: dict[str, Any] | None = None
    note: str = ''


def write_encoder(
    encoder: BaseEncoder, out: Path, format: str, pixels: Mapping[str, Any]
) -> EncoderFiles:
    """Write an encoder as a folder.

    Args:
        encoder: The encoder with its weights, adapters merged.
        out: The folder.
        format: 'timm' or 'transformers'.
        pixels: ``mean`` and ``std`` of RGB pixels in [0, 255], as the encoder expects them.

    Returns:
        What was written.

    Raises:
        UserError: The layout has no such encoder; says what it lacks.
    """
    if lacking := what_lacks(encoder, format):
        raise UserError(f"{format}'s layout of plain ViTs has no {lacking}: it cannot be exported")
    mean, std = ([value / 255 for value in pixels[name]] for name in ('mean', 'std'))
    files = LAYOUTS[format](encoder, mean, std)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / 'config.json', files.config)
    if files.preprocessor:
        write_json(out / 'preprocessor_config.json', files.preprocessor)
    with atomic_write(out / WEIGHTS) as temporary:
        state = {name: own_storage(tensor) for name, tensor in files.state_dict.items()}
        # transformers refuses files that do not name their framework.
        save_file(state, temporary, metadata={'format': 'pt'})
    return files


def what_lacks(encoder: BaseEncoder, format: str) -> str:
    """What of an encoder another library's plain ViT does not have; '' for nothing."""
    kind = type(encoder).__name__
    if not isinstance(encoder, ADDPViT) or isinstance(encoder, MAGEViT):
        return {
            'MAGEViT': 'input of VQ tokens (MAGEViT)',
            'DARLViT': 'start token and rotary positions (DARLViT)',
        }.get(kind, kind)
    if any(block.window_size for block in encoder.blocks):
        return 'attention windows (window_size)'
    if encoder.blocks[0].attn.use_rel_pos:
        return 'relative positions (use_rel_pos)'
    if format == 'transformers':
        if not encoder.with_cls_token:
            return 'encoder without class token (with_cls_token=False)'
        if encoder.num_prefix_tokens > 1:
            return 'register tokens (num_registers)'
        if any('.ls1.' in name for name in encoder.state_dict()):
            return 'factors of residual branches (layer_scale_init_value)'
    return ''


def to_timm(encoder: ADDPViT, mean: list[float], std: list[float]) -> EncoderFiles:
    """timm's VisionTransformer, as ``timm.create_model('local-dir:…')`` reads it."""
    state, sizes = dict(encoder.state_dict()), sizes_of(encoder)
    pre_norm, registers = has_norm(encoder.embed_norm), encoder.num_prefix_tokens > 1
    if pre_norm:
        fold_bias(state, encoder.with_cls_token)
    if registers:
        # timm's registers have no positions if the class token has none.
        state['cls_token'] = state['cls_token'] + state['pos_embed'][:, :1]
        state['pos_embed'] = state['pos_embed'][:, 1:]
    state = {re.sub('^embed_norm', 'norm_pre', name): tensor for name, tensor in state.items()}
    model_args = dict(
        img_size=sizes.side,
        patch_size=sizes.patch,
        in_chans=sizes.in_channels,
        embed_dim=encoder.embed_dims,
        depth=encoder.num_layers,
        num_heads=encoder.arch['num_heads'],
        mlp_ratio=encoder.arch['mlp_ratio'],
        class_token=encoder.with_cls_token,
        reg_tokens=encoder.num_prefix_tokens - encoder.with_cls_token,
        no_embed_class=registers,
        pre_norm=pre_norm,
        final_norm=has_norm(encoder.norm),
        fc_norm=False,
        init_values=1e-5 if any('.ls1.' in name for name in state) else None,
        global_pool='token' if encoder.with_cls_token else 'avg',
    )
    config = dict(
        architecture='vit_base_patch16_224',
        num_classes=0,
        num_features=encoder.embed_dims,
        global_pool=model_args['global_pool'],
        model_args=model_args,
        pretrained_cfg=dict(
            input_size=[sizes.in_channels, sizes.side, sizes.side],
            fixed_input_size=True,
            interpolation='bicubic',
            crop_pct=1.0,
            mean=mean,
            std=std,
            num_classes=0,
            first_conv='patch_embed.proj',
            classifier='head',
        ),
    )
    return EncoderFiles(
        config, state, "timm.create_model('local-dir:{out}', pretrained=True).forward_features(x)"
    )


def to_transformers(encoder: ADDPViT, mean: list[float], std: list[float]) -> EncoderFiles:
    """transformers' ViTModel, or the CLIPVisionModel for a norm of the embeddings."""
    sizes, state = sizes_of(encoder), dict(encoder.state_dict())
    clip = has_norm(encoder.embed_norm)
    kind = 'CLIPVisionModel' if clip else 'ViTModel'
    note = ''
    if not has_norm(encoder.norm):
        # LayerNorm's initial values.
        state['norm.weight'] = state['pos_embed'].new_ones(encoder.embed_dims)
        state['norm.bias'] = state['pos_embed'].new_zeros(encoder.embed_dims)
        note = f'{kind} has a final norm and the encoder has none: take hidden_states[-1]'
    elif clip:
        note = 'CLIPVisionModel leaves the final norm to you: post_layernorm(last_hidden_state)'
    if clip:
        fold_bias(state, True)
    config = dict(
        architectures=[kind],
        model_type='clip_vision_model' if clip else 'vit',
        hidden_size=encoder.embed_dims,
        num_hidden_layers=encoder.num_layers,
        num_attention_heads=encoder.arch['num_heads'],
        intermediate_size=int(encoder.embed_dims * encoder.arch['mlp_ratio']),
        hidden_act='gelu',
        layer_norm_eps=1e-6,
        image_size=sizes.side,
        patch_size=sizes.patch,
        num_channels=sizes.in_channels,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        qkv_bias=True,
        torch_dtype='float32',
    )
    preprocessor = dict(
        image_processor_type='ViTImageProcessor',
        do_resize=True,
        size=dict(height=sizes.side, width=sizes.side),
        resample=3,
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=mean,
        image_std=std,
    )
    renamed = clip_names(state) if clip else vit_names(state)
    usage = 'transformers.AutoModel.from_pretrained({out!r})(x).last_hidden_state'
    return EncoderFiles(config, renamed, usage, preprocessor, note)


def vit_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of ViTModel."""
    outer = {
        'cls_token': 'embeddings.cls_token',
        'pos_embed': 'embeddings.position_embeddings',
        'patch_embed.proj.weight': 'embeddings.patch_embeddings.projection.weight',
        'patch_embed.proj.bias': 'embeddings.patch_embeddings.projection.bias',
        'norm.weight': 'layernorm.weight',
        'norm.bias': 'layernorm.bias',
    }
    heads = [f'attention.attention.{part}' for part in ('query', 'key', 'value')]
    return renamed(state, outer, 'encoder.layer', _VIT_BLOCK, heads)


def clip_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of CLIPVisionModel, whose tokens have other shapes."""
    at = 'vision_model.'
    outer = {
        'cls_token': f'{at}embeddings.class_embedding',
        'pos_embed': f'{at}embeddings.position_embedding.weight',
        'patch_embed.proj.weight': f'{at}embeddings.patch_embedding.weight',
        **{f'embed_norm.{kind}': f'{at}pre_layrnorm.{kind}' for kind in ('weight', 'bias')},
        **{f'norm.{kind}': f'{at}post_layernorm.{kind}' for kind in ('weight', 'bias')},
    }
    heads = [f'self_attn.{part}_proj' for part in 'qkv']
    result = renamed(state, outer, f'{at}encoder.layers', _CLIP_BLOCK, heads)
    for name, shape in (('cls_token', (-1,)), ('pos_embed', state['pos_embed'].shape[1:])):
        result[outer[name]] = state[name].reshape(shape)
    return result


def renamed(
    state: Mapping[str, Tensor],
    outer: Mapping[str, str],
    stack: str,
    block: Mapping[str, str],
    heads: list[str],
) -> dict[str, Tensor]:
    """Tensors under other names, with queries, keys and values apart.

    Args:
        state: The encoder's.
        outer: Names outside the blocks, by ours.
        stack: Name of the list of blocks.
        block: Names within a block, by ours.
        heads: Names within a block of the projections to queries, keys and values.
    """
    result = {}
    for name, tensor in state.items():
        inside = re.fullmatch(r'blocks\.(\d+)\.(.+)\.(weight|bias)', name)
        if not inside:
            result[outer[name]] = tensor
            continue
        index, part, kind = inside.groups()
        parts = dict(zip(heads, tensor.chunk(3))) if part == 'attn.qkv' else {block[part]: tensor}
        result.update({f'{stack}.{index}.{p}.{kind}': values for p, values in parts.items()})
    return result


def fold_bias(state: dict[str, Tensor], with_cls_token: bool) -> None:
    """Add the bias of the patch embedding to the patches' positions.

    ViTs with a norm of the embeddings have no such bias in either library.
    """
    positions = state['pos_embed'].clone()
    positions[:, int(with_cls_token) :] += state.pop('patch_embed.proj.bias')
    state['pos_embed'] = positions


def has_norm(module: Any) -> bool:
    """Whether a norm is more than the identity."""
    return any(True for _ in module.parameters())


@dataclass(frozen=True)
class Sizes:
    """What an image is to an encoder: its side, that of a patch, and its channels."""

    side: int
    patch: int
    in_channels: int


def sizes_of(encoder: ADDPViT) -> Sizes:
    """The sizes that the positions and the patch embedding are made for."""
    patch = encoder.patch_embed.patch_size
    count = encoder.pos_embed.shape[1] - encoder.with_cls_token
    side = round(count**0.5) * patch
    return Sizes(side, patch, encoder.patch_embed.proj.in_channels)


LAYOUTS: dict[str, Callable[..., EncoderFiles]] = {
    'timm': to_timm,
    'transformers': to_transformers,
}
