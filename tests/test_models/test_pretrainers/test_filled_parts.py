"""A training starts with frozen parts that something has filled, or not at all."""

import pytest
from tiny_addp import addp, tiny_addp

from mmaddp.registry import MODELS
from mmaddp.utils import UserError


def test_frozen_parts_that_nothing_fills_are_told():
    parts = ('tokenizer', 'token_predictor')
    bare = {part: {k: v for k, v in addp()[part].items() if k != 'init_cfg'} for part in parts}
    source = tiny_addp(seed=1)
    for part in parts:
        model = MODELS.build(addp(**{part: bare[part]}))
        model.init_weights()
        with pytest.raises(UserError, match=rf'^model\.{part}\.init_cfg is not set'):
            model.check_filled()
        model.load_state_dict(source.state_dict())
        with pytest.raises(UserError, match=part):
            model.check_filled()
        model.load_state_dict({**source.state_dict(), **source.frozen_state()})
        model.check_filled()
    model = MODELS.build(addp())
    with pytest.raises(UserError, match='tokenizer'):
        model.check_filled()
    model.init_weights()
    model.check_filled()
