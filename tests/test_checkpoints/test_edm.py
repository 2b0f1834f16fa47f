"""NVIDIA's pickles of EDM: read as data, told by name, and refused with the way to take."""

import os
import pickle
import sys
import types

import numpy as np
import pytest
import torch

from mmaddp.checkpoints import convert_checkpoint, read_checkpoint, recognize_source
from mmaddp.utils import UserError

SOURCE = 'import os\nos.mkdir({path!r})\n'


def _reconstruct_persistent_obj(meta):
    raise AssertionError('executed')


@pytest.fixture
def library(monkeypatch):
    """The names that the pickles ask for, as in NVlabs/edm."""
    persistence = types.ModuleType('torch_utils.persistence')
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj
    monkeypatch.setattr(_reconstruct_persistent_obj, '__module__', persistence.__name__)
    util = types.ModuleType('dnnlib.util')
    util.EasyDict = type('EasyDict', (dict,), {'__module__': 'dnnlib.util'})
    for name, module in {
        'torch_utils': types.ModuleType('torch_utils'),
        'torch_utils.persistence': persistence,
        'dnnlib': types.ModuleType('dnnlib'),
        'dnnlib.util': util,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    return persistence._reconstruct_persistent_obj, util.EasyDict


def persistent(library, name, path, **children):
    """A module whose pickle carries source code, as ``persistent_class`` makes them."""

    def reduce(module, protocol):
        meta = dict(type='class', version=6, class_name=name, state=dict(module.__dict__))
        meta['module_src'] = SOURCE.format(path=str(path))
        return library[0], (meta,), None

    kind = type(name, (torch.nn.Module,), {'__reduce_ex__': reduce})
    module = kind()
    for child, value in children.items():
        if isinstance(value, torch.Tensor):
            value = torch.nn.Parameter(value)
        setattr(module, child, value)
    return module


def layer(library, path, *shape):
    bias, weight = torch.randn(shape[0]), torch.randn(*shape)
    made = persistent(library, 'Conv2d', path, weight=weight, bias=bias)
    made.register_buffer('resample_filter', None)
    made._init_kwargs, made.skip_scale = {'up': False}, np.sqrt(0.5)
    return made


def song_unet(library, path, **extra):
    """A little of DDPM++, in its preconditioning."""
    enc = torch.nn.ModuleDict({'8x8_conv': layer(library, path, 4, 3, 3, 3)})
    dec = torch.nn.ModuleDict({'8x8_aux_norm': layer(library, path, 4)})
    model = persistent(
        library,
        'SongUNet',
        path,
        map_layer0=layer(library, path, 16, 4),
        map_layer1=layer(library, path, 16, 16),
        enc=enc,
        dec=dec,
        **extra,
    )
    return persistent(library, 'EDMPrecond', path, model=model)


@pytest.fixture
def published(library, tmp_path, monkeypatch):
    """A pickle as NVIDIA publishes them, read where their library is not installed."""
    network = song_unet(library, tmp_path / 'executed')
    loss = persistent(library, 'EDMLoss', tmp_path / 'executed')
    file = dict(ema=network, loss_fn=loss, dataset_kwargs=library[1](path='cifar10.zip'))
    (tmp_path / 'edm.pkl').write_bytes(pickle.dumps(file))
    for name in ('torch_utils', 'torch_utils.persistence', 'dnnlib', 'dnnlib.util'):
        monkeypatch.delitem(sys.modules, name)
    return tmp_path / 'edm.pkl', network


def test_the_tensors_are_read_and_nothing_is_executed(published, tmp_path):
    path, network = published
    checkpoint = read_checkpoint(path)
    expected = network.state_dict()
    assert checkpoint['ema'].keys() == expected.keys()
    assert all(torch.equal(checkpoint['ema'][name], expected[name]) for name in expected)
    assert checkpoint['dataset_kwargs'] == {'path': 'cifar10.zip'}
    assert not (tmp_path / 'executed').exists()


def refusal(checkpoint, target='backbone'):
    with pytest.raises(UserError) as error:
        convert_checkpoint(checkpoint, target=target)
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize('target', ['backbone', 'pretrain'])
def test_the_network_is_named_and_the_way(published, target):
    """The pickle and a plain state dict of it alike, with the preconditioning or without."""
    path, network = published
    checkpoint = read_checkpoint(path)
    assert recognize_source(checkpoint) == 'edm'
    message = refusal(checkpoint, target)
    assert message.startswith(f"does not convert from 'edm' to '{target}': its network is SongUNet")
    for fact in ('DDPM++', 'sqrt(1/2)', 'eps=1e-6', 'last block of a resolution', "source 'ddae'"):
        assert fact in message
    assert refusal(network.state_dict(), target) == message
    assert refusal(network.model.state_dict(), target) == message


@pytest.mark.parametrize(
    ('name', 'layer_name'), [('NCSN++', 'enc.8x8_aux_residual.weight'), ('ADM', 'out_norm.weight')]
)
def test_other_networks_are_told_apart(name, layer_name):
    tensors = {'map_layer0.weight': torch.zeros(4, 4), layer_name: torch.zeros(4)}
    assert f'({name}), which is not the function' in refusal(tensors)


class Malicious:
    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def hostile(path):
    """Files that would make a folder: directly, in a module, by a storage, by source code."""
    call = Malicious(os.mkdir, (str(path),))
    return {
        'call': {'ema': call},
        'inside a module': {'ema': {'model.map_layer0.weight': call}},
        'storage of a program': Malicious(torch.storage._load_from_bytes, (b'PK\x03\x04',)),
        'storage of a pickle': Malicious(
            torch.storage._load_from_bytes, (pickle.dumps(call, protocol=2),)
        ),
        'hidden behind the number of PyTorch': Malicious(
            torch.storage._load_from_bytes,
            (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(call, protocol=2),),
        ),
    }


@pytest.mark.parametrize('name', list(hostile('x')))
def test_malicious_pickles_are_refused(name, tmp_path):
    (tmp_path / 'evil.pkl').write_bytes(pickle.dumps(hostile(tmp_path / 'executed')[name]))
    with pytest.raises(UserError, match=r'refused|damaged') as error:
        read_checkpoint(tmp_path / 'evil.pkl')
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'executed').exists()
