import pytest
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmaddp.engine.optimizers import original_name
from mmaddp.models import ADDPViT

TINY = dict(embed_dims=16, num_layers=3, num_heads=2)


class Detector(nn.Module):
    """Whatever has a backbone and a head: classifier, detector, segmentor."""

    def __init__(self, **kwargs) -> None:
        super().__init__()
        self.backbone = ADDPViT(TINY, img_size=32, **kwargs)
        self.head = nn.Linear(16, 4)


def build(model, rate=0.5, **paramwise_cfg):
    return build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='mmaddp.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=rate, **paramwise_cfg),
        ),
    ).optimizer


def settings_by_name(model, optimizer):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    }


def test_rates_fall_with_depth_and_special_parameters_do_not_decay():
    model = Detector()
    found = settings_by_name(model, build(model))
    assert len(found) == len(list(model.parameters()))
    expected = {
        'backbone.patch_embed.proj.weight': (0.5**4, 0.1),
        'backbone.patch_embed.proj.bias': (0.5**4, 0),
        'backbone.pos_embed': (0.5**4, 0),
        'backbone.cls_token': (0.5**4, 0),
        'backbone.embed_norm.weight': (0.5**4, 0),
        'backbone.blocks.0.attn.qkv.weight': (0.5**3, 0.1),
        'backbone.blocks.2.mlp.fc1.weight': (0.5, 0.1),
        'backbone.blocks.2.norm1.weight': (0.5, 0),
        'backbone.norm.weight': (1, 0),
        'head.weight': (1, 0.1),
        'head.bias': (1, 0),
    }
    assert {name: found[name] for name in expected} == expected


def test_relative_positions_do_not_decay():
    model = Detector(use_rel_pos=True, with_cls_token=False)
    found = settings_by_name(model, build(model))
    assert found['backbone.blocks.1.attn.rel_pos_h'] == (0.25, 0)


def test_frozen_parameters_are_left_out():
    model = Detector(frozen_stages=3)
    assert set(settings_by_name(model, build(model))) == {'head.weight', 'head.bias'}


def test_the_groups_are_those_of_mmpretrains_constructor():
    pytest.importorskip('mmpretrain.engine')
    from mmpretrain.models import ImageClassifier

    model = ImageClassifier(
        dict(type='mmaddp.ADDPViT', arch=TINY, img_size=32),
        neck=dict(type='mmaddp.PoolNormNeck', in_channels=16, norm_cfg=dict(type='LN')),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=4, in_channels=16),
    )
    reference = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
            paramwise_cfg=dict(
                layer_decay_rate=0.5,
                norm_decay_mult=0.0,
                bias_decay_mult=0.0,
                custom_keys={'pos_embed': dict(decay_mult=0.0), 'cls_token': dict(decay_mult=0.0)},
            ),
        ),
    ).optimizer
    backbone_only = {
        name: setting
        for name, setting in settings_by_name(model, reference).items()
        if name.startswith('backbone.')
    }
    assert backbone_only
    ours = settings_by_name(model, build(model))
    assert backbone_only == {name: ours[name] for name in backbone_only}


def test_says_what_it_cannot_do():
    with pytest.raises(ValueError, match='takes layer_decay_rate and nothing else'):
        build(Detector(), norm_decay_mult=0)
    with pytest.raises(ValueError, match='it has \\[\\]'):
        build_optim_wrapper(
            Detector(),
            dict(
                optimizer=dict(type='AdamW', lr=1.0),
                constructor='mmaddp.LayerDecayOptimWrapperConstructor',
            ),
        )
    with pytest.raises(ValueError, match=r'layer_decay_rate=\S+: must be in \(0, 1\]'):
        build(Detector(), rate=1.5)
    model = Detector()
    model.backbone = nn.Linear(2, 2)
    with pytest.raises(AttributeError, match='get_layer_depth'):
        build(model)
    assert len(build(model, rate=1).param_groups) == 2


def test_names_that_wrappers_have_lengthened_are_told():
    name = 'backbone._fsdp_wrapped_module.blocks.1._checkpoint_wrapped_module.mlp.fc1.weight'
    assert original_name(name) == 'backbone.blocks.1.mlp.fc1.weight'
    with pytest.raises(ValueError, match='use_orig_params=True'):
        original_name('backbone._fsdp_wrapped_module._flat_param')


def test_prints_its_groups(monkeypatch):
    printed = []
    monkeypatch.setattr(
        'mmaddp.engine.optimizers.print_log',
        lambda message, logger: printed.append(message),
    )
    build(Detector())
    (table,) = printed
    assert 'weight decay' in table
    assert '6.250e-02' in table
