"""Properties of the engine: whatever is wrong with a file is named."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.checkpoints.engine import apply_rules
from mmaddp.checkpoints.rules import drop, keep
from mmaddp.checkpoints.shapes import parse_dim, shape_conflicts
from mmaddp.utils import UserError

from .layouts import encoder_shapes, mae_shapes, mage_shapes, on_meta, vitdet_shapes

FILES = {
    ('mae', 'backbone'): mae_shapes(),
    ('vitdet', 'detector'): vitdet_shapes(),
    ('vitdet', 'detector', 'cascade'): vitdet_shapes(cascade=True),
    ('mage', 'token_predictor'): mage_shapes(),
}
MAGE_UNUSED = ('cls_token', 'pos_embed', 'mask_token', 'patch_embed', 'decoder_pos_embed')
MAGE_UNUSED += ('decoder_pred', 'token_emb.position_ids')


def used(name, shapes):
    """The tensors that the target is made of."""
    if name[0] == 'mae':
        return sorted(encoder_shapes())
    if name[0] == 'mage':
        kept = 'decoder_pos_embed_learned'
        return sorted(key for key in shapes if key == kept or not key.startswith(MAGE_UNUSED))
    return sorted(shapes)


REQUIRED = {name: used(name, shapes) for name, shapes in FILES.items()}
files = st.sampled_from(sorted(FILES))


def convert(name, tensors):
    return convert_checkpoint(tensors, source=name[0], target=name[1])


@given(files, st.data())
def test_a_missing_key_is_named(name, data):
    gone = data.draw(st.sampled_from(REQUIRED[name]))
    tensors = on_meta({key: shape for key, shape in FILES[name].items() if key != gone})
    with pytest.raises(UserError, match='missing: ') as error:
        convert(name, tensors)
    assert gone in str(error.value)
    assert '\n' not in str(error.value)


@given(files, st.from_regex(r'[a-z_]{1,10}(\.[a-z0-9_]{1,8}){0,3}', fullmatch=True))
def test_an_unknown_key_is_named(name, key):
    dropped = ('decoder_', 'head.', 'fc_norm.', 'norm.', 'pixel_', 'proposal_generator.')
    assume(key not in FILES[name] and not key.startswith(dropped))
    with pytest.raises(UserError, match='left over: ') as error:
        convert(name, {**on_meta(FILES[name]), key: torch.empty(1)})
    assert key in str(error.value)


@given(files, st.data())
def test_a_changed_size_is_named(name, data):
    # A file has one patch embedding, one fully connected layer, one grid: nothing contradicts them.
    alone = ('patch_embed.proj.weight', 'fc1.weight', 'rel_pos_h', 'rel_pos_w')
    keys = [key for key in REQUIRED[name] if not key.endswith(alone) or 'mlp' in key]
    key = data.draw(st.sampled_from(keys))
    shape = list(FILES[name][key])
    axis = data.draw(st.integers(0, len(shape) - 1))
    shape[axis] += data.draw(st.integers(1, 3))
    with pytest.raises(UserError, match='wrong shape: ') as error:
        convert(name, on_meta({**FILES[name], key: tuple(shape)}))
    assert f'{key} is {tuple(shape)}' in str(error.value)


@given(files, st.data())
def test_a_changed_rank_is_named(name, data):
    key = data.draw(st.sampled_from(REQUIRED[name]))
    with pytest.raises(UserError, match='wrong shape: ') as error:
        convert(name, on_meta({**FILES[name], key: (1, *FILES[name][key])}))
    assert f'{key} is ' in str(error.value)


def test_everything_wrong_is_said_at_once():
    shapes = mae_shapes()
    del shapes['blocks.1.norm2.bias']
    shapes |= {'stranger': (1,), 'blocks.0.attn.qkv.bias': (95,)}
    with pytest.raises(UserError) as error:
        convert(('mae', 'backbone'), on_meta(shapes))
    message = str(error.value)
    assert 'missing: blocks.1.norm2.bias' in message
    assert 'left over: stranger' in message
    assert 'blocks.0.attn.qkv.bias is (95,), expected (96)' in message


def test_a_gap_between_blocks_is_missing():
    shapes = {k.replace('blocks.1.', 'blocks.2.'): v for k, v in encoder_shapes().items()}
    with pytest.raises(UserError, match=r'missing: blocks\.1\.norm1\.weight.* and 6 more'):
        convert(('mae', 'backbone'), on_meta(shapes))


def test_an_absurd_index_does_not_hang():
    shapes = {**mae_shapes(), 'blocks.999999999999.norm1.weight': (32,)}
    with pytest.raises(UserError, match='missing: '):
        convert(('mae', 'backbone'), on_meta(shapes))


def test_a_group_is_filled_or_absent():
    rules = [keep('a', 'a', '', 'part'), *(keep(k, k, '', 'p', group='g') for k in ('b', 'c'))]
    assert set(apply_rules(on_meta({'a': (1,)}), rules).state_dict) == {'a'}
    with pytest.raises(UserError, match='missing: c'):
        apply_rules(on_meta({'a': (1,), 'b': (1,)}), rules)


def test_an_ambiguous_table_is_an_error_of_ours():
    rules = [drop('a.{rest}', 'part', 'why'), drop('a.b.{rest}', 'part', 'why')]
    with pytest.raises(ValueError, match='fits'):
        apply_rules(on_meta({'a.b.c': (1,)}), rules)
    with pytest.raises(ValueError, match='same source'):
        apply_rules({}, [drop('a', 'part', 'why'), drop('a', 'part', 'why')])


@pytest.mark.parametrize(
    ('form', 'size', 'value'),
    [('3C', 96, 32), ('3C', 97, None), ('C/2', 16, 32), ('G^2+1', 197, 14), ('G^2+1', 196, None)],
)
def test_a_form_is_solved_for_its_symbol(form, size, value):
    assert parse_dim(form).solve(size) == value
    if value:
        assert parse_dim(form).size(value) == size


def test_the_majority_says_what_a_symbol_is():
    shapes = [(name, (8,), 'C') for name in 'abc'] + [('d', (9,), 'C')]
    assert shape_conflicts(shapes) == ['d is (9,), expected (8)']
    assert len(shape_conflicts(shapes[-2:])) == 2
