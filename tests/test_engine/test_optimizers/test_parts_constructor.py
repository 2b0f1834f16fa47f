import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict
from torch import nn

from mmaddp.engine.optimizers import PartsOptimWrapperConstructor
from mmaddp.engine.runs import set_amp
from mmaddp.engine.validation import check_runs_on_cpu
from mmaddp.utils import UserError


def part(**settings):
    return dict(optimizer=dict(type='Adam', lr=1e-3), **settings)


class Game(BaseModel):
    def __init__(self):
        super().__init__()
        self.player, self.opponent = nn.Linear(2, 3), nn.Linear(3, 1)

    def forward(self, *args, **kwargs):
        raise NotImplementedError


def test_each_part_has_its_own_optimizer():
    model = Game()
    opponent = part(clip_grad=dict(max_norm=2.0))
    opponent['optimizer']['lr'] = 1e-4
    wrappers = PartsOptimWrapperConstructor(dict(player=part(), opponent=opponent))(model)
    assert isinstance(wrappers, OptimWrapperDict)
    assert wrappers.get_lr() == {'player.lr': [1e-3], 'opponent.lr': [1e-4]}
    for name in ('player', 'opponent'):
        groups = wrappers[name].optimizer.param_groups
        taken = {id(p) for group in groups for p in group['params']}
        assert taken == {id(p) for p in getattr(model, name).parameters()}


def test_what_it_cannot_do_is_refused():
    with pytest.raises(AttributeError, match='judge'):
        PartsOptimWrapperConstructor(dict(judge=part()))(Game())
    wrappers = dict(player=part(accumulative_counts=2))
    with pytest.raises(UserError, match=r'player\.accumulative_counts'):
        PartsOptimWrapperConstructor(wrappers)(Game())
    with pytest.raises(UserError, match='paramwise_cfg'):
        PartsOptimWrapperConstructor(wrappers, dict(norm_decay_mult=0.0))


def test_precision_is_set_in_every_part():
    optim_wrapper = dict(
        constructor='mmaddp.PartsOptimWrapperConstructor', player=part(), opponent=part()
    )
    config = ConfigDict(optim_wrapper=optim_wrapper)
    set_amp(config, 'fp16')
    for name in ('player', 'opponent'):
        assert config.optim_wrapper[name].type == 'AmpOptimWrapper'
        assert config.optim_wrapper[name].dtype == 'float16'
    assert 'type' not in config.optim_wrapper
    if not torch.cuda.is_available():
        with pytest.raises(
            UserError, match=r'optim_wrapper.player.type=AmpOptimWrapper .*--amp bf16 or --amp off'
        ):
            check_runs_on_cpu(config, trains=True)
    set_amp(config, 'off')
    check_runs_on_cpu(config, trains=True)
