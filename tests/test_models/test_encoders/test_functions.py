"""Networks that a function of one's own builds."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from mmaddp.models import Encoder
from mmaddp.models.backbones.libraries.base import hooked_outputs
from mmaddp.utils import UserError


class Pyramid(nn.Module):
    pixel_mean, pixel_std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, width=8):
        super().__init__()
        stem = nn.Conv2d(3, width, 4, 4)
        more = (nn.Conv2d(width * i, width * (i + 1), 2, 2) for i in (1, 2))
        self.stages = nn.ModuleList([stem, *more])
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        maps = {}
        for number, stage in enumerate(self.stages):
            x = stage(x)
            maps[f'level_{number}'] = x
        return maps


@pytest.fixture
def own_module(monkeypatch):
    module = ModuleType('own_networks')
    module.pyramid = Pyramid
    module.one_map = lambda: nn.Conv2d(3, 5, 8, 8)
    module.words = lambda: 'no module'
    module.vectors = lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    monkeypatch.setitem(sys.modules, 'own_networks', module)


@pytest.mark.usefixtures('own_module')
def test_maps_channels_strides_and_pixels_follow_from_the_network():
    torch.manual_seed(0)
    encoder = Encoder('py:own_networks:pyramid', arguments=dict(width=6))
    assert encoder.layers == ['level_0', 'level_1', 'level_2']
    assert [encoder.channels(layer) for layer in encoder.layers] == [6, 12, 18]
    assert [encoder.stride(layer) for layer in encoder.out_layers] == [4, 8, 16]
    assert encoder.pixel_values['std'] == [255.0] * 3
    images = torch.randn(1, 3, 64, 48)
    expected = encoder.network(images)
    for ours, theirs in zip(encoder(images), expected.values()):
        torch.testing.assert_close(ours, theirs)
    sum(one.sum() for one in encoder(images)).backward()
    for name, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad == ('unused' not in name)
    assert encoder.get_layer_depth('network.stages.1.weight') == (2, 5)
    single = Encoder('py:own_networks:one_map')
    assert single.layers == ['map_1']
    # Sides are padded to whole positions.
    assert single(torch.zeros(1, 3, 20, 9))[0].shape == (1, 5, 3, 2)


@pytest.mark.usefixtures('own_module')
@pytest.mark.parametrize(
    ('model', 'answer'),
    [
        ('py:own_networks:piramid', 'did you mean pyramid'),
        ('py:no_such_networks:pyramid', 'PYTHONPATH'),
        ('py:own_networks:vectors', 'gives no maps'),
        ('py:own_networks:words', 'returns str, not a torch.nn.Module'),
        ('py:own_networks', 'has no function .none given.: did you mean'),
    ],
)
def test_bad_functions_are_one_line(model, answer):
    with pytest.raises(UserError, match=answer) as caught:
        Encoder(model)
    assert '\n' not in str(caught.value)
    assert '__' not in str(caught.value)


@pytest.mark.usefixtures('own_module')
def test_unknown_arguments_name_the_function():
    with pytest.raises(UserError, match=r'py:own_networks:pyramid: .*widht'):
        Encoder('py:own_networks:pyramid', arguments=dict(widht=6))


@pytest.mark.generations
def test_a_pass_ends_behind_the_last_layer_wanted():
    first, second, x = nn.Linear(2, 2), nn.Linear(2, 2), torch.ones(1, 2)
    seen = []
    second.register_forward_pre_hook(lambda *_: seen.append('second'))
    modules = {'first': first, 'second': second}
    outputs = hooked_outputs(lambda: second(first(x)), modules, ['first'])
    assert list(outputs) == ['first']
    assert torch.equal(outputs['first'], first(x))
    assert not seen
