import pytest
import torch
from torch import nn

from mmaddp.models.layers import RisingEMA


def averaged(decays, values):
    average = values[0]
    for decay, value in zip(decays, values[1:]):
        average = decay * average + (1 - decay) * value
    return average


def test_decay_rises_as_in_the_library_of_the_authors():
    # ema_pytorch with update_after_step=0: 1 - (1 + n)^(-2/3) for n = 1, 2, 3.
    source, values = nn.Linear(1, 1, bias=False), [1.0, 0.0, 2.0, -3.0]
    ema = RisingEMA(source, momentum=1e-4)
    for value in values:
        nn.init.constant_(source.weight, value)
        ema.update_parameters(source)
    expected = averaged([0.370039, 0.519250, 0.603150], values)
    assert ema.module.weight.item() == pytest.approx(expected, abs=1e-5)


def test_decay_stops_at_its_largest():
    source = nn.Linear(1, 1, bias=False)
    nn.init.ones_(source.weight)
    ema = RisingEMA(source, momentum=0.25)
    ema.update_parameters(source)
    ema.steps += torch.tensor(10**6)
    nn.init.zeros_(source.weight)
    ema.update_parameters(source)
    assert ema.module.weight.item() == pytest.approx(0.75)
