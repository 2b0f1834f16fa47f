"""A config names a published file; the backbone takes it, adapted, or says why not."""

import pytest
import torch
from test_checkpoints.layouts import (
    addp_encoder_shapes,
    encoder_shapes,
    mae_shapes,
    random_weights,
    vitdet_encoder_shapes,
    vitdet_shapes,
)
from torch.nn import functional as F

from mmaddp.checkpoints import convert_file, fit, read_checkpoint, read_model_checkpoint
from mmaddp.checkpoints.convert import convert
from mmaddp.models import ADDPViT
from mmaddp.utils import UserError

TINY = {'embed_dims': 32, 'num_layers': 2, 'num_heads': 2}
LAYOUTS = {
    'addp': addp_encoder_shapes(),
    'mae': mae_shapes(),
    'vitdet': vitdet_shapes(),
    'run': encoder_shapes('backbone.'),
}


@pytest.fixture
def published(tmp_path):
    """Write weights of a layout to a file; gives its path and the weights."""

    def write(name):
        weights = random_weights(LAYOUTS[name])
        torch.save({'model': weights}, tmp_path / f'{name}.pth')
        return tmp_path / f'{name}.pth', weights

    return write


def vit(arch=TINY, **settings):
    torch.manual_seed(0)
    return ADDPViT(arch, **{'img_size': 64, 'embed_norm': False, 'final_norm': False, **settings})


def detection_vit(**settings):
    settings = {'window_size': 2, 'global_attn_indexes': (1,), 'use_rel_pos': True, **settings}
    return vit(with_cls_token=False, **settings)


@pytest.mark.parametrize(('name', 'prefix'), [('addp', ''), ('mae', ''), ('run', 'backbone.')])
def test_init_cfg_takes_any_file(published, name, prefix):
    path, weights = published(name)
    module = vit(init_cfg={'type': 'Pretrained', 'checkpoint': str(path)})
    module.init_weights()
    for key, value in module.state_dict().items():
        assert torch.equal(value, weights[prefix + key]), key


def test_norms_are_taken_where_the_module_has_them(published):
    path, weights = published('addp')
    module = vit(embed_norm=True, final_norm=True)
    module.load(path)
    assert torch.equal(module.embed_norm.weight, weights['tokenizer_norm.weight'])
    assert torch.equal(module.norm.bias, weights['norm.bias'])


def test_a_norm_that_the_file_lacks_stays_as_initialized(published):
    path, _ = published('run')
    module = vit(final_norm=True)
    module.load(path)
    assert torch.equal(module.norm.weight, torch.ones(32))


def test_a_norm_that_is_frozen_must_be_in_the_file(published):
    path, _ = published('run')
    for settings, lacking in (
        ({'embed_norm': True, 'frozen_stages': 0}, r'backbone.embed_norm.weight\)'),
        (
            {'embed_norm': True, 'final_norm': True, 'frozen_stages': 2},
            r'\S+, backbone.norm.weight',
        ),
    ):
        with pytest.raises(UserError, match=f'missing: {lacking}'):
            vit(**settings).load(path)
    vit(final_norm=True, frozen_stages=0).load(path)


def test_a_detection_backbone_drops_the_class_token_and_starts_with_zero_tables(published):
    path, weights = published('addp')
    module = detection_vit()
    module.load(path)
    assert torch.equal(module.pos_embed, weights['pos_embed'][:, 1:])
    assert not any(t.any() for n, t in module.named_parameters() if 'rel_pos' in n)


def test_what_was_adapted_is_told(published):
    path, _ = published('addp')
    parts = convert(read_checkpoint(path), module=detection_vit(img_size=96)).parts
    told = {(part.fate, part.name): part.tensors for part in parts}
    assert told.pop(('kept', 'encoder')) == 26
    assert told == {
        ('resized', 'encoder'): 1,
        ('dropped: the encoder has none, nor its position', 'encoder'): 1,
        ("dropped: the authors' fine-tuning has none", 'embedding norm'): 2,
        ('dropped: fine-tuning puts a fresh norm behind average pooling', 'final norm'): 2,
        ('left as initialized', 'blocks'): 4,
    }


def test_positions_are_resized_bicubically(published):
    path, weights = published('mae')
    module = vit(img_size=96)
    module.load(path)
    grid = weights['pos_embed'][:, 1:].reshape(1, 4, 4, 32).permute(0, 3, 1, 2)
    expected = F.interpolate(grid, size=(6, 6), mode='bicubic', align_corners=False)
    torch.testing.assert_close(module.pos_embed[:, 1:], expected.flatten(2).transpose(1, 2))
    assert torch.equal(module.pos_embed[:, :1], weights['pos_embed'][:, :1])


def test_relative_positions_are_resized_linearly(published):
    path, weights = published('vitdet')
    module = detection_vit(window_size=3)
    module.load(path)
    name = 'blocks.0.attn.rel_pos_h'
    expected = F.interpolate(weights[f'backbone.net.{name}'].T[None], size=5, mode='linear')[0].T
    torch.testing.assert_close(module.state_dict()[name], expected)
    kept = 'blocks.1.attn.rel_pos_w'
    assert torch.equal(module.state_dict()[kept], weights[f'backbone.net.{kept}'])


def test_a_converted_file_loads_like_the_published_one(published, tmp_path):
    path, _ = published('vitdet')
    convert_file(path, tmp_path / 'converted.safetensors')
    direct, converted = detection_vit(), detection_vit()
    direct.load(path)
    converted.load(tmp_path / 'converted.safetensors')
    pairs = zip(direct.state_dict().values(), converted.state_dict().values())
    assert all(torch.equal(left, right) for left, right in pairs)


MISFITS = {
    'size': ('mae', lambda: vit({**TINY, 'num_layers': 3}), 'set arch=dict.embed_dims=32'),
    'class token': ('vitdet', vit, 'set with_cls_token=False'),
    'relative positions': (
        'vitdet',
        lambda: detection_vit(use_rel_pos=False),
        'set use_rel_pos=True',
    ),
    'heads': (
        'vitdet',
        lambda: detection_vit(arch={**TINY, 'num_heads': 4}),
        'set arch=.*num_heads=2.*rel_pos_h is ',
    ),
    'patch': (
        'mae',
        lambda: vit(patch_size=8, img_size=32),
        'set patch_size=16',
    ),
    'mlp': (
        'mae',
        lambda: vit({**TINY, 'mlp_ratio': 2.0}),
        'builds .*mlp_ratio=2.0.*mlp.fc1.* is ',
    ),
}


@pytest.mark.parametrize('name', MISFITS)
def test_a_file_that_does_not_fit_says_what_to_set_and_loads_nothing(published, name):
    layout, build, message = MISFITS[name]
    path, _ = published(layout)
    module = build()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(UserError, match=message) as error:
        module.load(path)
    assert str(error.value).startswith(f'{path}: ')
    assert '\n' not in str(error.value)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_the_published_sizes_are_called_by_name():
    with torch.device('meta'):
        large, base = ADDPViT('large').state_dict(), ADDPViT('base')
    message = "holds ADDPViT with arch='large', the config builds arch='base': set arch='large'"
    with pytest.raises(UserError, match=message):
        fit(large, base)


def test_whole_models(published, tmp_path):
    path, _ = published('vitdet')
    read = read_model_checkpoint(path)
    assert 'roi_head.mask_head.conv_logits.weight' in read['state_dict']
    assert read['meta'] == {}
    run = {'meta': {'iter': 7}, 'state_dict': {'conv.weight': torch.ones(1)}, 'optimizer': {}}
    torch.save(run, tmp_path / 'iter_7.pth')
    read = read_model_checkpoint(tmp_path / 'iter_7.pth')
    assert read == {
        'state_dict': {'conv.weight': torch.ones(1)},
        'meta': {'iter': 7},
        'settings': {},
    }
    convert_file(path, tmp_path / 'detector.safetensors', target='detector')
    read = read_model_checkpoint(tmp_path / 'detector.safetensors')
    assert read['meta']['mmaddp']['target'] == 'detector'


def test_an_encoder_is_no_whole_model(published, tmp_path):
    path, _ = published('addp')
    convert_file(path, tmp_path / 'backbone.pth')
    for file in (path, tmp_path / 'backbone.pth'):
        with pytest.raises(UserError, match=f'{file}: holds an encoder.*init_cfg'):
            read_model_checkpoint(file)


def test_vitdet_backbone_alone_is_enough_for_a_backbone(tmp_path):
    torch.save({'model': random_weights(vitdet_encoder_shapes())}, tmp_path / 'a.pth')
    detection_vit().load(tmp_path / 'a.pth')
