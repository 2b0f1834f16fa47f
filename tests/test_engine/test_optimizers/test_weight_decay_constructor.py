import pytest
from mmengine.optim import build_optim_wrapper
from timm.optim import param_groups_weight_decay
from tiny_addp import tiny_addp


def build(model, **settings):
    return build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='mmaddp.WeightDecayOptimWrapperConstructor',
            **settings,
        ),
    ).optimizer.param_groups


def names_by_decay(model, groups):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {g['weight_decay']: {names[id(p)] for p in g['params']} for g in groups}


def test_the_groups_are_timms_without_what_is_frozen():
    model = tiny_addp()
    found = names_by_decay(model, build(model, paramwise_cfg=dict(flat_decay_mult=0.0)))
    assert found == names_by_decay(model, param_groups_weight_decay(model, 0.1))
    assert 'encoder.pos_embed' in found[0.1]
    assert not any(name.startswith('token') for name in found[0.0] | found[0.1])


def test_one_dimensional_parameters_may_decay_less():
    model = tiny_addp()
    found = names_by_decay(model, build(model, paramwise_cfg=dict(flat_decay_mult=0.5)))
    assert set(found) == {0.1, 0.05}


def test_says_which_options_it_takes():
    with pytest.raises(ValueError, match=r'flat_decay_mult and nothing else; it has \[\]'):
        build(tiny_addp())
    with pytest.raises(ValueError, match=r"it has \['bias_decay_mult'\]"):
        build(tiny_addp(), paramwise_cfg=dict(bias_decay_mult=0.0))
