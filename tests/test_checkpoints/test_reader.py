"""Files are read as data: every format, every kind of damage, and nothing of them is run."""

import argparse
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from safetensors.torch import save_file

from mmaddp.checkpoints import read_checkpoint
from mmaddp.utils import UserError

pytestmark = pytest.mark.generations

WEIGHTS = {'a.weight': torch.arange(12.0).reshape(3, 4), 'a.bias': torch.ones(3).half()}


def same(left, right):
    return set(left) == set(right) and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('name', ['a.pth', 'a.pt', 'a.anything'])
def test_torch_files(tmp_path, zipped, name):
    checkpoint = {
        'model': OrderedDict(WEIGHTS),
        'args': argparse.Namespace(lr=1e-3, output=Path('out'), betas=(0.9, 0.95)),
        'epoch': 3,
        'scaler': {'scale': np.float64(2.0), 'seen': {1, 2}},
    }
    torch.save(checkpoint, tmp_path / name, _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(tmp_path / name)
    assert same(read['model'], WEIGHTS)
    assert read['epoch'] == 3
    assert read['scaler'] == {'scale': 2.0, 'seen': {1, 2}}


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, *inputs, mode='tensor'):
        return {'loss': self.layer(torch.stack(inputs)).mean()}


def test_checkpoints_of_a_training_run(tmp_path, monkeypatch):
    """Log histories, schedulers and optimizer of MMEngine's runner are in the file too."""
    # The runner sets a scope for the whole process, which other tests must not see.
    monkeypatch.setattr(DefaultScope, '_instance_dict', OrderedDict())
    model = Toy()
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader={
            'dataset': [torch.ones(2)] * 4,
            'sampler': {'type': 'DefaultSampler'},
            'collate_fn': {'type': 'pseudo_collate'},
            'batch_size': 2,
        },
        train_cfg={'by_epoch': True, 'max_epochs': 1},
        optim_wrapper={'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW'}},
        param_scheduler=[
            {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'end': 2},
            {'type': 'MultiStepLR', 'milestones': [1], 'by_epoch': True},
        ],
        custom_hooks=[{'type': 'EMAHook'}],
        default_scope='mmengine',
        experiment_name='toy',
    )
    runner.train()
    read = read_checkpoint(tmp_path / 'epoch_1.pth')
    assert read['meta']['epoch'] == 1
    expected = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    assert same(read['state_dict'], expected)


def test_safetensors(tmp_path):
    save_file(WEIGHTS, tmp_path / 'a.safetensors')
    os.rename(tmp_path / 'a.safetensors', tmp_path / 'weights.bin')
    assert same(read_checkpoint(tmp_path / 'weights.bin')['state_dict'], WEIGHTS)


@pytest.mark.parametrize(
    ('protocol', 'numpy_1'), [(2, False), (2, True), (3, True), (4, False), (5, False)]
)
def test_detectron2_pickles(tmp_path, protocol, numpy_1):
    arrays = {
        'plain': np.arange(6, dtype=np.float32).reshape(2, 3),
        'fortran': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        'big endian': np.arange(3, dtype='>i4'),
        'empty': np.zeros((0, 2), np.uint8),
    }
    data = pickle.dumps({'model': arrays, '__author__': 'zoo'}, protocol=protocol)
    if numpy_1:
        data = data.replace(b'numpy._core.', b'numpy.core.')
    (tmp_path / 'model.pkl').write_bytes(data)
    model = read_checkpoint(tmp_path / 'model.pkl')['model']
    for name, array in arrays.items():
        np.testing.assert_array_equal(model[name], array)
        assert model[name].dtype.newbyteorder('=') == array.dtype.newbyteorder('=')


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def touch(path):
    return Calls(os.system, f'touch {path}')


WRITERS = {
    'pkl 0': lambda obj, path: path.write_bytes(pickle.dumps(obj, protocol=0)),
    'pkl 4': lambda obj, path: path.write_bytes(pickle.dumps(obj, protocol=4)),
    'zip': torch.save,
    'legacy': lambda obj, path: torch.save(obj, path, _use_new_zipfile_serialization=False),
}


@pytest.mark.parametrize('writer', WRITERS)
@pytest.mark.parametrize('extension', ['.pkl', '.pth'])
def test_code_is_refused_and_not_run(tmp_path, writer, extension):
    marker, path = tmp_path / 'executed', tmp_path / f'evil{extension}'
    WRITERS[writer]({'model': {'a': np.ones(2)}, 'payload': touch(marker)}, path)
    with pytest.raises(UserError, match=r'refused: it asks for (posix|nt)\.system') as error:
        read_checkpoint(path)
    assert str(error.value).startswith(f'{path}: ')
    assert '\n' not in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    'call',
    [
        Calls(eval, '1'),
        Calls(getattr, 1, 'real'),
        Calls(torch.load, 'other.pth'),
        Calls(torch.hub.load, 'a', 'b'),
        Calls(__import__, 'os'),
        Calls(np.load, 'other.npy'),
        Calls(open, 'other', 'w'),
    ],
    ids=lambda call: call.call[0].__name__,
)
def test_other_ways_to_run_code_are_refused(tmp_path, call):
    (tmp_path / 'evil.pkl').write_bytes(pickle.dumps({'a': call}))
    with pytest.raises(UserError, match='refused: it asks for '):
        read_checkpoint(tmp_path / 'evil.pkl')
    assert not Path('other').exists()


def test_arrays_of_objects_are_refused(tmp_path):
    (tmp_path / 'evil.pkl').write_bytes(pickle.dumps({'a': np.array([{}, []], dtype=object)}))
    with pytest.raises(UserError, match="refused: it holds a NumPy array of 'O8'"):
        read_checkpoint(tmp_path / 'evil.pkl')


@pytest.mark.parametrize(
    ('module', 'name'),
    [(b'argparse', b'Namespace'), (b'numpy', b'dtype'), (b'collections', b'Counter')],
)
def test_a_file_cannot_alter_what_it_names(tmp_path, module, name):
    """A pickle may set attributes on any object, classes and functions included."""
    program = b'\x80\x02c' + module + b'\n' + name + b'\nN}X\x05\x00\x00\x00spoilK\x01s\x86b.'
    (tmp_path / 'evil.pkl').write_bytes(program)
    with pytest.raises(UserError):
        read_checkpoint(tmp_path / 'evil.pkl')
    from mmaddp.checkpoints import unpickler

    reachable = [argparse.Namespace, np.dtype, *vars(unpickler).values()]
    assert not any(hasattr(thing, 'spoil') for thing in reachable)


def test_torchscript_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / 'program.pth')
    with pytest.raises(UserError, match='refused: it is a TorchScript program'):
        read_checkpoint(tmp_path / 'program.pth')


def rewrite(path, ending, change):
    """Change a record of PyTorch's format."""
    with zipfile.ZipFile(path) as file:
        records = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, 'w') as file:
        for name, data in records.items():
            file.writestr(name, change(data) if name.endswith(ending) else data)


@pytest.mark.parametrize('extra', [{}, {'args': argparse.Namespace()}], ids=['weights', 'args'])
@pytest.mark.parametrize(
    ('ending', 'change'),
    [
        ('data/0', lambda data: data[:16]),  # fewer bytes than the tensor's size says
        # SETITEM on a tensor: tensor[9] = 1, of four
        ('data.pkl', lambda data: data[:-2] + b'K\x09K\x01s' + data[-2:]),
    ],
    ids=['size', 'item'],
)
def test_a_file_cannot_reach_beyond_its_tensors(tmp_path, extra, ending, change):
    """The two faults of CVE-2026-24747."""
    numbers = 4 if ending == 'data.pkl' else 1000
    torch.save({**extra, 'weight': torch.ones(numbers)}, tmp_path / 'evil.pth')
    rewrite(tmp_path / 'evil.pth', ending, change)
    with pytest.raises(UserError, match='truncated, damaged or no checkpoint'):
        read_checkpoint(tmp_path / 'evil.pth')


@pytest.fixture(scope='module', params=['zip.pth', 'legacy.pth', 'model.safetensors', 'model.pkl'])
def whole_file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp('whole') / request.param
    weights = {f'{i}.weight': torch.randn(50, 40) for i in range(4)}
    if path.suffix == '.safetensors':
        save_file(weights, path)
    elif path.suffix == '.pkl':
        path.write_bytes(pickle.dumps({'model': {k: v.numpy() for k, v in weights.items()}}))
    else:
        torch.save({'model': weights}, path, _use_new_zipfile_serialization='zip' in path.name)
    return path


def test_a_truncated_file_is_told_as_such(whole_file, tmp_path):
    data = whole_file.read_bytes()
    cut = tmp_path / f'cut{whole_file.suffix}'
    early = [*range(1, 40), 100, 500]
    for length in [*early, *(len(data) * i // 16 for i in range(1, 16)), len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(UserError, match='truncated, damaged or no checkpoint') as error:
            read_checkpoint(cut)
        assert str(error.value).startswith(f'{cut}: ')
        assert '\n' not in str(error.value)


LOOKALIKES = {
    'empty': (b'', 'is empty'),
    'lfs pointer': (b'version https://git-lfs.github.com/spec/v1\noid sha256:1\n', 'git lfs pull'),
    'web page': (b'\n<!DOCTYPE html><html></html>', 'is a web page'),
    'text': (b'not found', 'no checkpoint'),
    'other zip': (b'PK\x03\x04' + bytes(100), 'no checkpoint'),
    'a list': (pickle.dumps([1, 2]), 'damaged or no checkpoint'),
}


@pytest.mark.parametrize('name', LOOKALIKES)
def test_what_only_looks_like_a_checkpoint(tmp_path, name):
    content, reason = LOOKALIKES[name]
    path = tmp_path / 'model.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        read_checkpoint(path)
    assert str(error.value).startswith(f'{path}: ')


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match='No such file'):
        read_checkpoint(tmp_path / 'absent.pth')
    with pytest.raises(UserError, match='Is a directory'):
        read_checkpoint(tmp_path)
