"""Each source's tables against the published layouts and other libraries' models."""

import numpy as np
import pytest
import timm
import torch
from mmengine.registry import DefaultScope

from mmaddp.checkpoints import PARTS, SOURCES, convert_checkpoint, recognize_source
from mmaddp.checkpoints.convert import convert
from mmaddp.models import ADDPViT
from mmaddp.utils import UserError

from .layouts import (
    addp_encoder_shapes,
    encoder_shapes,
    mae_shapes,
    norm_shapes,
    on_meta,
    published,
    random_weights,
    vitdet_shapes,
)

TINY = {'embed_dims': 32, 'num_layers': 2, 'num_heads': 2}


def fine_tuning_vit(**settings):
    settings = {'img_size': 64, 'embed_norm': False, 'final_norm': False, **settings}
    return ADDPViT(arch=TINY, **settings).eval()


@pytest.mark.parametrize(('name', 'arch'), [('base', 'base'), ('large', 'large')])
def test_published_addp_files_fill_the_encoder(shared, name, arch):
    checkpoint = {'model': published(f'addp-vit-{name}-16', shared), 'epoch': 799}
    assert recognize_source(checkpoint) == 'addp'
    with torch.device('meta'):
        encoder = ADDPViT(arch=arch, embed_norm=False, final_norm=False)
    encoder.load_state_dict(convert_checkpoint(checkpoint, 'addp', 'backbone'), strict=True)


def test_every_tensor_of_a_published_file_is_accounted_for(shared):
    tensors = published('addp-vit-base-16', shared)
    for target in ('backbone', 'pretrain', *PARTS):
        conversion = convert({'model': tensors}, 'addp', target)
        assert sum(part.tensors for part in conversion.parts) == len(tensors)
        total = sum(t.numel() for t in tensors.values())
        assert sum(part.parameters for part in conversion.parts) == total


def test_values_pass_unchanged_out_of_every_wrapping():
    weights = random_weights(addp_encoder_shapes())
    plain = convert_checkpoint(weights, 'addp', 'backbone')
    assert torch.equal(plain['blocks.1.mlp.fc2.weight'], weights['blocks.1.mlp.fc2.weight'])
    wrapped = {'epoch': 1, 'model': {f'module.{k}': v.numpy() for k, v in weights.items()}}
    again = convert_checkpoint(wrapped)
    assert set(again) == set(plain)
    assert all(torch.equal(again[key], plain[key]) for key in plain)


def test_big_endian_arrays_keep_their_values():
    weights = random_weights(mae_shapes())
    arrays = {key: value.numpy().astype('>f4') for key, value in weights.items()}
    converted = convert_checkpoint(arrays, 'mae')
    assert torch.equal(converted['pos_embed'], weights['pos_embed'])


def test_timm_gives_the_same_tokens():
    torch.manual_seed(0)
    reference = timm.models.VisionTransformer(
        img_size=64, embed_dim=32, depth=2, num_heads=2, num_classes=5
    ).eval()
    for parameter in reference.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    encoder = fine_tuning_vit()
    encoder.load_state_dict(convert_checkpoint(reference.state_dict()), strict=True)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens = reference.norm(encoder.forward_tokens(images))
        torch.testing.assert_close(tokens, reference.forward_features(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('settings', [{'qk_norm': True}, {'pre_norm': True}])
def test_vits_that_are_not_plain_are_refused(settings):
    model = timm.models.VisionTransformer(
        img_size=64, embed_dim=32, depth=2, num_heads=2, num_classes=5, **settings
    )
    with pytest.raises(
        UserError,
        match=r'not a plain ViT, mmaddp.Encoder takes it: (norm_pre|blocks\.0\.attn\.q_norm)',
    ):
        convert_checkpoint(model.state_dict(), 'mae')


SIGLIP = {'class_token': False, 'global_pool': 'map'}


@pytest.mark.parametrize(
    'settings',
    [
        {'init_values': 0.1},
        {'init_values': 0.1, 'reg_tokens': 3, 'no_embed_class': True},
        {'reg_tokens': 3},
        {'no_embed_class': True},
        {'class_token': False, 'global_pool': 'avg'},
        {'class_token': False, 'global_pool': 'avg', 'reg_tokens': 3, 'no_embed_class': True},
        SIGLIP,
        {'class_token': False, 'global_pool': 'avg', 'fc_norm': False},
    ],
    ids=str,
)
def test_timms_variants_give_the_same_tokens(settings, tmp_path):
    """Layer scale, registers and their positions, and no class token or no position for it."""
    torch.manual_seed(0)
    reference = timm.models.VisionTransformer(
        img_size=64, embed_dim=32, depth=2, num_heads=2, num_classes=5, **settings
    ).eval()
    for parameter in reference.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    state = reference.state_dict()
    assert recognize_source(state) == 'mae'
    encoder = fine_tuning_vit(
        with_cls_token=settings.get('class_token', True),
        num_registers=settings.get('reg_tokens', 0),
        layer_scale_init_value=settings.get('init_values', 0),
        final_norm='norm.weight' in state,
    )
    torch.save(state, tmp_path / 'timm.pth')
    encoder.load(tmp_path / 'timm.pth')
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens, expected = encoder.forward_tokens(images), reference.forward_features(images)
        torch.testing.assert_close(tokens, expected, rtol=1e-4, atol=1e-5)
        (last,) = reference.forward_intermediates(
            images, indices=[1], norm=True, intermediates_only=True
        )
        torch.testing.assert_close(encoder(images)[0], last, rtol=1e-4, atol=1e-5)
    parts = convert(state).parts
    assert sum(part.tensors for part in parts) == len(state)
    named = {part.name for part in parts}
    assert ('layer scale' in named) == ('init_values' in settings)
    assert ('registers' in named) == ('reg_tokens' in settings)


def test_a_dropped_layer_scale_or_register_is_refused(tmp_path):
    model = timm.models.VisionTransformer(
        img_size=64, embed_dim=32, depth=2, num_heads=2, init_values=0.1, reg_tokens=3
    )
    torch.save(model.state_dict(), tmp_path / 'timm.pth')
    with pytest.raises(UserError, match='set num_registers=3, layer_scale_init_value=1e-05'):
        fine_tuning_vit().load(tmp_path / 'timm.pth')
    torch.save(random_weights(mae_shapes()), tmp_path / 'mae.pth')
    with pytest.raises(UserError, match=r'missing: blocks\.0\.ls1\.gamma'):
        fine_tuning_vit(layer_scale_init_value=1e-5).load(tmp_path / 'mae.pth')


def test_dinov2_trains_its_blocks_in_chunks():
    """'blocks.1.3' is the fourth block, in the second chunk of two."""
    weights = random_weights({**encoder_shapes(), **norm_shapes('norm'), 'mask_token': (1, 32)})
    for i in range(2):
        weights |= {f'blocks.{i}.ls{n}.gamma': torch.full((32,), i + n / 10) for n in (1, 2)}
    chunked = {
        name.replace('blocks.0.', 'blocks.0.0.').replace('blocks.1.', 'blocks.1.1.'): tensor
        for name, tensor in weights.items()
    }
    teacher = {f'backbone.{name}': tensor for name, tensor in chunked.items()}
    checkpoint = {'teacher': {**teacher, 'dino_head.mlp.0.weight': torch.ones(1)}}
    whole = {'student': {f'backbone.{name}': tensor for name, tensor in weights.items()}}
    expected = convert_checkpoint(weights)
    for state in (chunked, checkpoint, whole):
        converted = convert_checkpoint(state)
        assert converted.keys() == expected.keys()
        assert all(torch.equal(converted[name], expected[name]) for name in expected)


def test_mmpretrains_layer_scale_is_kept():
    scale = {'out_type': 'raw', 'layer_scale_init_value': 0.1}
    model = build_mmpretrain(
        {
            'type': 'ImageClassifier',
            'backbone': {'type': 'VisionTransformer', **scale, **MMPRETRAIN_VIT},
        }
    )
    encoder = fine_tuning_vit(final_norm=True, layer_scale_init_value=0.1)
    state = model.state_dict()
    norm = {'norm.weight': state['backbone.ln1.weight'], 'norm.bias': state['backbone.ln1.bias']}
    encoder.load_state_dict({**convert_checkpoint(state), **norm}, strict=True)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens = model.backbone(images)[0]
        torch.testing.assert_close(encoder.forward_tokens(images), tokens, rtol=1e-4, atol=1e-5)


def test_mae_files_in_all_their_forms():
    encoder = set(encoder_shapes())
    full = mae_shapes()
    fine_tuned = {**encoder_shapes(), 'fc_norm.weight': (32,), 'fc_norm.bias': (32,)}
    fine_tuned |= {'head.weight': (10, 32), 'head.bias': (10,)}
    for shapes in (full, fine_tuned):
        assert recognize_source(on_meta(shapes)) == 'mae'
        assert set(convert_checkpoint({'model': on_meta(shapes)})) == encoder


def build_mmpretrain(cfg):
    import mmpretrain.models  # noqa: F401
    from mmpretrain.registry import MODELS

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2, generator=generator)
    return model


MMPRETRAIN_VIT = {
    'arch': {'embed_dims': 32, 'num_layers': 2, 'num_heads': 2, 'feedforward_channels': 128},
    'img_size': 64,
    'patch_size': 16,
}


def test_mmpretrain_classifier_gives_the_same_tokens(tmp_path):
    model = build_mmpretrain(
        {
            'type': 'ImageClassifier',
            'backbone': {'type': 'VisionTransformer', 'out_type': 'raw', **MMPRETRAIN_VIT},
            'head': {'type': 'VisionTransformerClsHead', 'num_classes': 5, 'in_channels': 32},
        }
    )
    path = tmp_path / 'classifier.pth'
    torch.save({'meta': {}, 'state_dict': model.state_dict()}, path)
    encoder = fine_tuning_vit(final_norm=True)
    encoder.load(path)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens = model.backbone(images)[0]
        torch.testing.assert_close(encoder.forward_tokens(images), tokens, rtol=1e-4, atol=1e-5)


def test_mmpretrain_fine_tuned_classifier_has_its_norm_behind_pooling():
    backbone = {'out_type': 'avg_featmap', 'final_norm': False, **MMPRETRAIN_VIT}
    model = build_mmpretrain(
        {
            'type': 'ImageClassifier',
            'backbone': {'type': 'VisionTransformer', **backbone},
            'head': {'type': 'LinearClsHead', 'num_classes': 5, 'in_channels': 32},
        }
    )
    encoder = fine_tuning_vit()
    encoder.load_state_dict(convert_checkpoint(model.state_dict()), strict=True)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        pooled = model.backbone.ln2(encoder.forward_tokens(images)[:, 1:].mean(1))
        torch.testing.assert_close(pooled, model.backbone(images)[0], rtol=1e-4, atol=1e-5)


def test_mmpretrain_mae_gives_its_encoder():
    decoder = {'num_patches': 16, 'embed_dim': 32, 'decoder_embed_dim': 16, 'decoder_depth': 1}
    model = build_mmpretrain(
        {
            'type': 'MAE',
            'backbone': {'type': 'MAEViT', **MMPRETRAIN_VIT},
            'neck': {'type': 'MAEPretrainDecoder', 'decoder_num_heads': 2, **decoder},
            'head': {
                'type': 'MAEPretrainHead',
                'loss': {'type': 'PixelReconstructionLoss', 'criterion': 'L2'},
            },
        }
    )
    state = model.state_dict()
    assert recognize_source(state) == 'mmpretrain'
    encoder = fine_tuning_vit(final_norm=True)
    norm = {'norm.weight': state['backbone.ln1.weight'], 'norm.bias': state['backbone.ln1.bias']}
    encoder.load_state_dict({**convert_checkpoint(state), **norm}, strict=True)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens = model.backbone(images, mask=None)[0]
        torch.testing.assert_close(encoder.forward_tokens(images), tokens, rtol=1e-4, atol=1e-5)


def test_own_runs_give_their_backbone_back():
    shapes = {**encoder_shapes('backbone.'), 'head.fc.weight': (5, 32), 'neck.norm.weight': (32,)}
    weights = random_weights(shapes)
    checkpoint = {'meta': {'epoch': 3}, 'state_dict': weights, 'optimizer': {}}
    assert recognize_source(checkpoint) == 'mmaddp'
    state = convert_checkpoint(checkpoint)
    assert set(state) == set(encoder_shapes())
    assert torch.equal(state['cls_token'], weights['backbone.cls_token'])
    whole = convert_checkpoint(checkpoint, 'mmaddp', 'detector')
    assert set(whole) == set(weights)


def test_own_pretraining_keeps_all_its_parts():
    shapes = {**encoder_shapes('encoder.'), 'encoder.embed_norm.weight': (32,)}
    shapes |= {'encoder.embed_norm.bias': (32,), 'decoder.token_embed.weight': (5, 32)}
    tensors = on_meta(shapes)
    assert set(convert_checkpoint(tensors, target='pretrain')) == set(shapes)
    assert set(convert_checkpoint(tensors)) == set(encoder_shapes())


def test_converting_our_own_backbone_changes_nothing():
    once = convert_checkpoint(random_weights(mae_shapes()))
    twice = convert_checkpoint(once)
    assert recognize_source(once) == 'mmaddp'
    assert all(torch.equal(once[key], twice[key]) for key in once)


def test_no_layout_is_mistaken_for_another(shared):
    files = {
        'addp': published('addp-tiny', shared),
        'vitdet': on_meta(vitdet_shapes()),
        'mae': on_meta(mae_shapes()),
        'mage': published('mage-vitb-1600', shared),
        'vqgan': published('vqgan_jax_strongaug', shared),
        'dit': published('dit-tiny', shared),
    }
    for name, tensors in files.items():
        assert recognize_source(tensors) == name
    assert recognize_source(published('ddae-unet-ddpm-tiny', shared)) is None


def test_an_unknown_layout_is_told_what_the_known_ones_have():
    with pytest.raises(UserError) as error:
        convert_checkpoint({'stem.weight': torch.zeros(1)})
    for name, source in SOURCES.items():
        assert f'{name} has {source.looks_like}' in str(error.value)
    assert 'stem.weight' in str(error.value)


def test_the_wrong_source_is_told_the_right_one():
    with pytest.raises(UserError, match="its keys look like 'vitdet'"):
        convert_checkpoint(on_meta(vitdet_shapes()), 'mae')


def test_an_impossible_pair_lists_the_possible_ones():
    with pytest.raises(UserError, match=r"'detector' cannot be made from 'addp'.*vitdet gives"):
        convert_checkpoint(on_meta(addp_encoder_shapes()), 'addp', 'detector')
    with pytest.raises(UserError, match=r"'neck' cannot be made from 'addp'"):
        convert_checkpoint({'a': torch.zeros(1)}, 'addp', 'neck')
    with pytest.raises(UserError, match="source='moco' is none of 'auto', 'addp'"):
        convert_checkpoint({'a': torch.zeros(1)}, 'moco')


@pytest.mark.parametrize(
    'checkpoint', [{}, {'epoch': 3}, {'model': {}}, {'a': np.array(['text'])}, {'a': 'b'}]
)
def test_a_mapping_without_tensors_is_refused(checkpoint):
    with pytest.raises(UserError, match='holds no state dict'):
        convert_checkpoint(checkpoint)
