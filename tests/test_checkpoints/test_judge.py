"""Properties of the engine: whatever is wrong with a file is named."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.checkpoints.judge import size_of
from mmaddp.checkpoints.rules import drop, keep, rename
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
RPN = 'proposal_generator.rpn_head'
TWINS = {
    'token_emb.position_embeddings.weight': 'decoder_pos_embed_learned is ',
    'token_emb.word_embeddings.weight': 'mlm_layer.bias is ',
    f'{RPN}.objectness_logits.weight': f'{RPN}.objectness_logits.bias is ',
}
TWINS |= {twin.split()[0]: f'{key} is ' for key, twin in TWINS.items()}
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
    # Where one size is told by two tensors only, either may be the wrong one.
    twin = TWINS.get(key)
    assert f'{key} is {tuple(shape)}' in str(error.value) or (twin and twin in str(error.value))


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
    assert 'blocks.0.attn.qkv.bias is (95,), expected (96,)' in message


def test_a_gap_between_blocks_is_missing():
    shapes = {k.replace('blocks.1.', 'blocks.2.'): v for k, v in encoder_shapes().items()}
    with pytest.raises(UserError, match=r'missing: blocks\.1\.norm1\.weight.* and 6 more'):
        convert(('mae', 'backbone'), on_meta(shapes))


def test_an_absurd_index_does_not_hang():
    shapes = {**mae_shapes(), 'blocks.999999999999.norm1.weight': (32,)}
    with pytest.raises(UserError, match='missing: '):
        convert(('mae', 'backbone'), on_meta(shapes))


def test_the_first_rule_that_matches_wins():
    rules = [drop('a.b.{rest}', 'part', 'why'), keep('a.{rest}', 'c.{rest}')]
    renamed = rename(on_meta({'a.b.c': (1,), 'a.d': (1,)}), rules)
    assert set(renamed.state) == {'c.d'}


def test_an_index_has_no_leading_zeros():
    renamed = rename(on_meta({'a.01.b': (1,)}), [keep('a.{i}.b')])
    assert renamed.complaints['left over'] == ['a.01.b']


def test_the_majority_says_what_a_size_is():
    shapes = {'a.weight': (8, 4), 'a.bias': (8,), 'b.bias': (9,)}
    assert size_of(on_meta(shapes), (r'[ab]\.(weight|bias)', 0)) == 8
    assert size_of(on_meta(shapes), (r'a\.weight', 1), (r'a\.bias', 0)) == 4
    assert size_of({}, ('a', 0)) == 0
