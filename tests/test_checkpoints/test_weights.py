"""Weights are found behind every wrapper, in every nest, and the average before the last step."""

import argparse
import collections
import datetime
import pickle
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config, ConfigDict
from scripts import load_script
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

from mmaddp.checkpoints import convert_checkpoint, read_checkpoint, read_model_checkpoint
from mmaddp.checkpoints.convert import convert
from mmaddp.checkpoints.weights import WRAPPERS
from mmaddp.models import ADDPViT
from mmaddp.utils import UserError

from .layouts import encoder_shapes, equal, norm_shapes, random_weights

ARCH = dict(embed_dims=32, num_layers=2, num_heads=2)
# MAE's file without its decoder, an average of it, and the encoder in both.
LAST = random_weights({**encoder_shapes(), **norm_shapes('norm')}, seed=0)
AVERAGE = random_weights({**encoder_shapes(), **norm_shapes('norm')}, seed=1)
ENCODER = {name: LAST[name] for name in encoder_shapes()}
AVERAGED = {name: AVERAGE[name] for name in encoder_shapes()}


def behind(prefix, state=LAST):
    return {f'{prefix}{name}': tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    'checkpoint',
    [
        behind('module.'),
        behind('_orig_mod.'),
        behind('_orig_mod.module.'),
        behind('module._orig_mod.'),
        {'n_averaged': torch.tensor(3), **behind('module.')},
        {'module.n_averaged': torch.tensor(3), **behind('module.module.')},
        behind('_fsdp_wrapped_module.'),
        {'state_dict': behind('model.')},
        {'state_dict': {**behind('model.module.'), 'loss.weight': torch.ones(2)}},
        {'state_dict': behind('net.backbone.'), 'epoch': 3, 'hyper_parameters': {'lr': 0.1}},
        {
            'model_state_dict': LAST,
            'optimizer_state_dict': {'state': {0: {'exp_avg': torch.ones(1)}}},
        },
        {'model_ema': LAST},
        {'net': LAST},
        {'params': LAST},
        {'teacher': LAST},
        {'student': behind('module.backbone.'), 'epoch': 1},
        {'module': LAST, 'dp_world_size': 8},
        {'model': {'state_dict': LAST, 'step': 3}},
        {**LAST, 'epoch': 3, 'name': 'mae'},
        {'state_dict': LAST, 'history': {'loss': torch.ones(3)}},
        {'model': LAST, 'optimizer': {'state': {'cls_token': {'exp_avg': torch.ones(1, 1, 32)}}}},
    ],
    ids=lambda checkpoint: '-'.join([*map(str, checkpoint)][:2]),
)
def test_wrappers_and_nests_are_taken_off(checkpoint):
    assert equal(convert_checkpoint(checkpoint), ENCODER)


NESTS = [
    'model',
    'state_dict',
    'model_state_dict',
    'net',
    'params',
    'student',
    'model_ema',
    'teacher',
]
steps = st.sampled_from([*WRAPPERS, 'module'])


@settings(max_examples=60)
@given(st.data())
def test_any_nesting_of_wrappers_anywhere_in_a_name(data):
    """Wrappers differ from layer to layer, as where only some blocks are recomputed or sharded."""
    inserted = {}  # the wrappers around each module, by its path
    state = {}
    for name, tensor in LAST.items():
        path, wrapped = '', []
        for step in name.split('.'):
            if path not in inserted:
                inserted[path] = data.draw(st.lists(steps, max_size=2))
            wrapped += [*inserted[path], step]
            path = f'{path}.{step}'
        state['.'.join(wrapped)] = tensor
    for prefix in data.draw(st.lists(st.sampled_from(['model', 'net', 'student']), max_size=2)):
        state = behind(f'{prefix}.', state)
    for nest in data.draw(st.lists(st.sampled_from(NESTS), max_size=3)):
        state = {nest: state, 'epoch': 3, 'args': argparse.Namespace()}
    assert equal(convert_checkpoint(state), ENCODER)


def test_the_wrappers_of_pytorch_itself(tmp_path):
    """Names that torch writes, not those that we expect."""
    encoder = ADDPViT(ARCH, img_size=64, embed_norm=False, final_norm=False)
    encoder.load_state_dict(ENCODER)
    encoder.blocks[1] = checkpoint_wrapper(encoder.blocks[1])
    compiled = torch.compile(nn.Sequential(collections.OrderedDict(model=encoder)))
    averaged = AveragedModel(compiled)
    torch.save({'state_dict': averaged.state_dict()}, tmp_path / 'wrapped.pth')
    state = averaged.state_dict()
    assert 'n_averaged' in state
    assert 'module._orig_mod.model.blocks.1._checkpoint_wrapped_module.norm1.weight' in state or (
        # checkpoint_wrapper takes its own step out of the names.
        'module._orig_mod.model.blocks.1.norm1.weight' in state
    )
    assert equal(convert_checkpoint(read_checkpoint(tmp_path / 'wrapped.pth')), ENCODER)


def test_every_tensor_beside_the_weights_is_told():
    state = {**behind('model.'), 'criterion.weight': torch.ones(7), 'n_averaged': torch.tensor(2)}
    parts = convert({'state_dict': state}).parts
    assert sum(part.tensors for part in parts) == len(state)
    fates = {part.fate: part.parameters for part in parts}
    assert fates["dropped: not in 'model.'"] == 7
    assert fates['dropped: only averaging uses it'] == 1


BOTH = {
    'model_ema': {'model': LAST, 'model_ema': AVERAGE},
    'state_dict_ema': {'state_dict': LAST, 'state_dict_ema': AVERAGE},
    'ema': {'model': LAST, 'ema': AVERAGE, 'opt': {}},
    'params_ema': {'params': LAST, 'params_ema': AVERAGE},
    'teacher': {'student': behind('module.backbone.'), 'teacher': behind('backbone.', AVERAGE)},
    'target_encoder': {'encoder': behind('module.'), 'target_encoder': behind('module.', AVERAGE)},
    'state_dict.ema_model': {'state_dict': {**behind('model.'), **behind('ema_model.', AVERAGE)}},
}


@pytest.mark.parametrize('place', BOTH)
def test_the_average_is_taken_and_told(place):
    conversion = convert(BOTH[place])
    assert equal(conversion.state_dict, AVERAGED)
    (note,) = conversion.notes
    assert note.startswith(f'takes the moving average in {place!r}; ')
    other = note.split("prefix='")[1].split("'")[0]
    assert equal(convert_checkpoint(BOTH[place], prefix=other), ENCODER)
    assert equal(convert_checkpoint(BOTH[place], prefix=place), AVERAGED)
    assert equal(convert_checkpoint(BOTH[place], prefix=f'{place}.'), AVERAGED)


def test_mmengine_saves_the_average_as_state_dict():
    """EMAHook swaps both before saving."""
    checkpoint = {
        'meta': {'mmengine_version': '0.10.4'},
        'state_dict': behind('backbone.', AVERAGE),
        'ema_state_dict': {'steps': torch.tensor(9), **behind('module.backbone.')},
    }
    conversion = convert(checkpoint)
    assert equal(conversion.state_dict, AVERAGED)
    assert conversion.notes == [
        "takes the moving average in 'state_dict'; prefix='ema_state_dict' takes the other weights"
    ]
    assert equal(convert_checkpoint(checkpoint, prefix='ema_state_dict'), ENCODER)


def test_one_set_of_weights_needs_no_line():
    assert convert({'model': LAST, 'epoch': 3}).notes == []


def test_moco_transfers_its_base_encoder():
    state = {**behind('base_encoder.'), **behind('momentum_encoder.', AVERAGE)}
    assert equal(convert_checkpoint({'state_dict': behind('module.', state)}), ENCODER)


def test_a_prefix_that_nothing_begins_with():
    with pytest.raises(UserError, match=r"no name begins with prefix='student': .* model, model_"):
        convert_checkpoint(BOTH['model_ema'], prefix='student')


def test_init_cfg_and_the_converter_take_a_prefix(tmp_path, repository, monkeypatch, capsys):
    torch.save(BOTH['model_ema'], tmp_path / 'both.pth')
    states = []
    for prefix in (dict(), dict(prefix='model')):
        pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'both.pth'), **prefix)
        encoder = ADDPViT(
            ARCH, img_size=64, embed_norm=False, final_norm=False, init_cfg=pretrained
        )
        encoder.init_weights()
        states.append(encoder.state_dict())
    assert equal(states[0], AVERAGED)
    assert equal(states[1], ENCODER)
    tool = load_script(repository / 'tools/model_converters/convert_checkpoint.py')
    tool.main([str(tmp_path / 'both.pth'), str(tmp_path / 'one.pth')])
    assert (
        "takes the moving average in 'model_ema'; prefix='model' takes" in capsys.readouterr().out
    )
    tool.main([str(tmp_path / 'both.pth'), str(tmp_path / 'two.pth'), '--prefix', 'model'])
    assert 'moving average' not in capsys.readouterr().out
    assert equal(read_checkpoint(tmp_path / 'one.pth')['state_dict'], AVERAGED)
    assert equal(read_checkpoint(tmp_path / 'two.pth')['state_dict'], ENCODER)


def test_weights_that_are_not_finite_are_told():
    broken = {**LAST, 'blocks.1.mlp.fc2.bias': torch.full((32,), torch.nan)}
    broken['cls_token'] = torch.full((1, 1, 32), torch.inf)
    (note,) = convert({'model': broken}).notes
    assert note.startswith('NaN or infinite values in 2 of 28 tensors (cls_token, blocks.1.mlp.fc2')
    assert '\n' not in note


def test_a_whole_model_is_found_by_its_names(tmp_path):
    """A detector of another library keeps its names, whatever wraps it."""
    state = {'backbone.conv1.weight': torch.ones(2), 'bbox_head.fc.weight': torch.ones(3)}
    own_child = {'backbone.module.weight': torch.ones(2), 'head.weight': torch.ones(3)}
    for saved, wanted in (
        ({'state_dict': state}, state),
        ({'state_dict': behind('model._orig_mod.', state)}, state),
        (behind('module.', state), state),
        ({'state_dict': own_child}, own_child),
    ):
        torch.save(saved, tmp_path / 'model.pth')
        read = read_model_checkpoint(tmp_path / 'model.pth', list(wanted))
        assert equal(read['state_dict'], wanted)


def test_shards_of_fsdp_are_refused():
    with pytest.raises(UserError, match='flattened shards of FSDP: '):
        convert_checkpoint({'model': {'blocks.0._fsdp_wrapped_module._flat_param': torch.ones(9)}})


HARMLESS = {
    'defaultdict': collections.defaultdict(list, loss=[1.0]),
    'datetime': datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc),
    'timedelta': datetime.timedelta(hours=1),
    'SimpleNamespace': types.SimpleNamespace(lr=1e-3, layers=[1, 2]),
    'Namespace': argparse.Namespace(lr=1e-3),
    'numpy numbers': [np.float64(2), np.int32(3), np.bool_(True)],
    'numpy text': [np.str_('vit'), np.array(['cat', 'dog']), np.array('2024', 'M8[D]')],
    'random states': [np.random.get_state(), np.random.RandomState(0), np.random.default_rng(0)],
    'deque': collections.deque([1, 2]),
    'config': [ConfigDict(a=1), Config(dict(a=dict(b=2)))],
    'types': [dict, list, float, slice(1, 2), range(3), bytearray(b'a')],
}


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
@pytest.mark.parametrize('name', HARMLESS)
def test_harmless_objects_beside_the_weights_are_skipped(tmp_path, name, protocol):
    torch.save({'model': LAST, 'other': HARMLESS[name]}, tmp_path / 'a.pth')
    assert equal(convert_checkpoint(read_checkpoint(tmp_path / 'a.pth')), ENCODER)
    arrays = {key: tensor.numpy() for key, tensor in LAST.items()}
    data = pickle.dumps({'model': arrays, 'other': HARMLESS[name]}, protocol=protocol)
    (tmp_path / 'a.pkl').write_bytes(data)
    assert equal(convert_checkpoint(read_checkpoint(tmp_path / 'a.pkl')), ENCODER)


def test_omegaconf_is_skipped(tmp_path):
    """The names that OmegaConf pickles, without the library."""
    program = b'\x80\x02}(X\x05\x00\x00\x00model}X\x01\x00\x00\x00aK\x01sX\x03\x00\x00\x00cfg'
    program += b'comegaconf.dictconfig\nDictConfig\n)\x81}X\t\x00\x00\x00_metadatacomegaconf.base\n'
    program += b'ContainerMetadata\n)\x81}X\x08\x00\x00\x00ref_typectyping\nAny\nsbsbu.'
    (tmp_path / 'a.pkl').write_bytes(program)
    assert read_checkpoint(tmp_path / 'a.pkl')['model'] == {'a': 1}
