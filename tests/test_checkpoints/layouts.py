"""Checkpoints in published layouts, from the publishers' own names, tiny or by shape only."""

import json
from pathlib import Path

import numpy as np
import torch

C, LAYERS, MLP, GRID = 32, 2, 128, 4


def published(name: str, shared: Path, prefix: str = '') -> dict:
    """A reference layout on the meta device: names and shapes without memory."""
    shapes = json.loads((shared / 'reference/checkpoints' / f'{name}.json').read_text())
    return {prefix + key: torch.empty(shape, device='meta') for key, shape in shapes.items()}


def random_weights(shapes: dict, seed: int = 0) -> dict:
    """Weights small enough for activations to stay in range; norms near one."""
    rng = np.random.RandomState(seed)
    weights = {}
    for name, shape in shapes.items():
        noise = torch.from_numpy(rng.standard_normal(shape).astype(np.float32))
        is_scale = len(shape) == 1 and name.endswith('weight')
        weights[name] = 1 + 0.1 * noise if is_scale else 0.1 * noise
    return weights


def block_shapes(prefix: str) -> dict:
    return {
        f'{prefix}.norm1.weight': (C,),
        f'{prefix}.norm1.bias': (C,),
        f'{prefix}.attn.qkv.weight': (3 * C, C),
        f'{prefix}.attn.qkv.bias': (3 * C,),
        f'{prefix}.attn.proj.weight': (C, C),
        f'{prefix}.attn.proj.bias': (C,),
        f'{prefix}.norm2.weight': (C,),
        f'{prefix}.norm2.bias': (C,),
        f'{prefix}.mlp.fc1.weight': (MLP, C),
        f'{prefix}.mlp.fc1.bias': (MLP,),
        f'{prefix}.mlp.fc2.weight': (C, MLP),
        f'{prefix}.mlp.fc2.bias': (C,),
    }


def encoder_shapes(prefix: str = '') -> dict:
    shapes = {
        f'{prefix}cls_token': (1, 1, C),
        f'{prefix}pos_embed': (1, 1 + GRID**2, C),
        f'{prefix}patch_embed.proj.weight': (C, 3, 16, 16),
        f'{prefix}patch_embed.proj.bias': (C,),
    }
    for i in range(LAYERS):
        shapes |= block_shapes(f'{prefix}blocks.{i}')
    return shapes


def norm_shapes(prefix: str) -> dict:
    return {f'{prefix}.weight': (C,), f'{prefix}.bias': (C,)}


def mae_shapes() -> dict:
    """MAE's own pre-training file, decoder included (one block)."""
    return {
        **encoder_shapes(),
        **norm_shapes('norm'),
        'mask_token': (1, 1, C),
        'decoder_pos_embed': (1, 1 + GRID**2, C),
        'decoder_embed.weight': (C, C),
        'decoder_embed.bias': (C,),
        **block_shapes('decoder_blocks.0'),
        **norm_shapes('decoder_norm'),
        'decoder_pred.weight': (768, C),
        'decoder_pred.bias': (768,),
    }


def addp_encoder_shapes() -> dict:
    """What remains of ADDP's file without decoder, tokenizer and token predictor."""
    return {**encoder_shapes(), **norm_shapes('norm'), **norm_shapes('tokenizer_norm')}


def mage_shapes(codes: int = 40) -> dict:
    """MAGE's own file without its tokenizer: MAE's, with words besides."""
    words = codes + 1001
    return {
        **mae_shapes(),
        'decoder_pos_embed_learned': (1, 1 + GRID**2, C),
        'token_emb.position_ids': (1, 1 + GRID**2),
        'token_emb.word_embeddings.weight': (words, C),
        'token_emb.position_embeddings.weight': (1 + GRID**2, C),
        **norm_shapes('token_emb.LayerNorm'),
        'mlm_layer.bias': (1, 1, words),
        'mlm_layer.fc.weight': (C, C),
        'mlm_layer.fc.bias': (C,),
        **norm_shapes('mlm_layer.ln'),
    }


def conv_norm(prefix: str, out_channels: int, in_channels: int, kernel: int) -> dict:
    return {
        f'{prefix}.weight': (out_channels, in_channels, kernel, kernel),
        f'{prefix}.norm.weight': (out_channels,),
        f'{prefix}.norm.bias': (out_channels,),
    }


def layer(prefix: str, *weight: int, bias: int) -> dict:
    return {f'{prefix}.weight': weight, f'{prefix}.bias': (bias,)}


def vitdet_encoder_shapes(window: int = 2) -> dict:
    """detectron2's ViT under its pyramid: a class position, but no class token."""
    shapes = encoder_shapes('backbone.net.')
    del shapes['backbone.net.cls_token']
    for i in range(LAYERS):
        for axis in 'hw':
            table = f'backbone.net.blocks.{i}.attn.rel_pos_{axis}'
            shapes[table] = (2 * (window if i == 0 else GRID) - 1, 16)
    return shapes


def vitdet_shapes(cascade: bool = False, classes: int = 3, out: int = 16, fc: int = 24) -> dict:
    """A whole detector of detectron2's ViTDet project."""
    shapes = vitdet_encoder_shapes()
    pyramid = 'backbone.simfp_'
    shapes |= {
        **layer(f'{pyramid}2.0', C, C // 2, 2, 2, bias=C // 2),
        **layer(f'{pyramid}2.1', C // 2, bias=C // 2),
        **layer(f'{pyramid}2.3', C // 2, C // 4, 2, 2, bias=C // 4),
        **conv_norm(f'{pyramid}2.4', out, C // 4, 1),
        **conv_norm(f'{pyramid}2.5', out, out, 3),
        **layer(f'{pyramid}3.0', C, C // 2, 2, 2, bias=C // 2),
        **conv_norm(f'{pyramid}3.1', out, C // 2, 1),
        **conv_norm(f'{pyramid}3.2', out, out, 3),
        **conv_norm(f'{pyramid}4.0', out, C, 1),
        **conv_norm(f'{pyramid}4.1', out, out, 3),
        **conv_norm(f'{pyramid}5.1', out, C, 1),
        **conv_norm(f'{pyramid}5.2', out, out, 3),
    }
    rpn = 'proposal_generator.rpn_head'
    shapes |= {
        **layer(f'{rpn}.conv.conv0', out, out, 3, 3, bias=out),
        **layer(f'{rpn}.conv.conv1', out, out, 3, 3, bias=out),
        **layer(f'{rpn}.objectness_logits', 3, out, 1, 1, bias=3),
        **layer(f'{rpn}.anchor_deltas', 12, out, 1, 1, bias=12),
    }
    for stage in ('.0', '.1', '.2') if cascade else ('',):
        for i in range(1, 5):
            shapes |= conv_norm(f'roi_heads.box_head{stage}.conv{i}', out, out, 3)
        predictor = f'roi_heads.box_predictor{stage}'
        boxes = 4 if cascade else 4 * classes
        shapes |= {
            **layer(f'roi_heads.box_head{stage}.fc1', fc, out * 49, bias=fc),
            **layer(f'{predictor}.cls_score', classes + 1, fc, bias=classes + 1),
            **layer(f'{predictor}.bbox_pred', boxes, fc, bias=boxes),
        }
    for i in range(1, 5):
        shapes |= conv_norm(f'roi_heads.mask_head.mask_fcn{i}', out, out, 3)
    shapes |= layer('roi_heads.mask_head.deconv', out, out, 2, 2, bias=out)
    shapes |= layer('roi_heads.mask_head.predictor', classes, out, 1, 1, bias=classes)
    return shapes


def on_meta(shapes: dict) -> dict:
    return {name: torch.empty(shape, device='meta') for name, shape in shapes.items()}


def whole(model):
    """What a pre-training is made of, its frozen parts included."""
    return {**model.state_dict(), **model.frozen_state()}


def equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def bare(state, part):
    prefix = f'{part}.'
    return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
