"""Plain vision transformers: MAE's releases, timm's models and MMPretrain's."""

from __future__ import annotations

from ..rules import Source, drop, keep, refuse

OTHER_HEAD = 'another task has another head'
POOLED = 'it belongs to the classification head'
DECODER = 'only pre-training decodes'

# MAE's files have timm's names, which are ours.
MAE = Source(
    'mae',
    marks=[
        {'cls_token', 'blocks.0.norm1.weight', 'norm.weight'},
        {'cls_token', 'blocks.0.norm1.weight', 'fc_norm.weight'},
    ],
    absent=['tokenizer_norm.weight', 'embed_norm.weight', 'token_emb.'],
    tables={
        'backbone': [
            drop('fc_norm.{rest}', 'pooled norm', POOLED),
            *(drop(f'{name}.{{rest}}', 'head', OTHER_HEAD) for name in ('head', 'head_drop')),
            drop('pre_logits.{rest}', 'head', OTHER_HEAD),
            drop('mask_token', 'decoder', DECODER),
            drop('decoder_{rest}', 'decoder', DECODER),
            refuse('norm_pre.{rest}', 'a norm before the first block'),
            refuse('reg_token', 'register tokens'),
            refuse('dist_token', 'a distillation token'),
            refuse('blocks.{i}.ls1.gamma', 'layer scale'),
            refuse('blocks.{i}.ls2.gamma', 'layer scale'),
            refuse('blocks.{i}.attn.q_norm.{rest}', 'a norm on the queries'),
            refuse('blocks.{i}.attn.k_norm.{rest}', 'a norm on the keys'),
            keep('norm.{rest}', part='final norm'),
            keep('{rest}'),
        ]
    },
    holds='backbone',
)

_BLOCK = {
    'ln1': 'norm1',
    'ln2': 'norm2',
    'ffn.layers.0.0': 'mlp.fc1',
    'ffn.layers.1': 'mlp.fc2',
    'attn.qkv': 'attn.qkv',
    'attn.proj': 'attn.proj',
}

MMPRETRAIN = Source(
    'mmpretrain',
    marks=[{'backbone.layers.0.ln1.weight'}],
    tables={
        'backbone': [
            refuse('backbone.pre_norm.{rest}', 'a norm before the first block'),
            refuse('backbone.layers.{i}.attn.gamma1.{rest}', 'layer scale'),
            refuse('backbone.layers.{i}.ffn.gamma2.{rest}', 'layer scale'),
            keep('backbone.cls_token', 'cls_token'),
            keep('backbone.pos_embed', 'pos_embed'),
            keep('backbone.patch_embed.projection.{rest}', 'patch_embed.proj.{rest}'),
            *(
                keep(f'backbone.layers.{{i}}.{theirs}.{{rest}}', f'blocks.{{i}}.{ours}.{{rest}}')
                for theirs, ours in _BLOCK.items()
            ),
            keep('backbone.ln1.{rest}', 'norm.{rest}', 'final norm'),
            drop('backbone.ln2.{rest}', 'pooled norm', POOLED),
            drop('neck.{rest}', 'decoder', DECODER),
            drop('head.{rest}', 'head', OTHER_HEAD),
            drop('data_preprocessor.{rest}', 'data preprocessor', 'the config normalizes'),
        ]
    },
)
