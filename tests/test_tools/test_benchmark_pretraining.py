"""The comparison of ADDP's training step with the plain formulation compares like with like."""

import json

import pytest
from mmengine.config import Config
from scripts import load_script
from tiny_addp import ARCH, addp


@pytest.fixture(scope='module')
def tool(repository):
    return load_script(repository / 'tools/analysis_tools/benchmark_pretraining.py')


@pytest.mark.parametrize('condition', ['z_t+1', 'z_t'])
def test_all_forms_compute_the_same_loss(tool, condition, tmp_path, capsys):
    """Nothing is dropped and nothing learned, so that the masks alone change the loss."""
    encoder = dict(type='mmaddp.ADDPViT', arch=ARCH, img_size=64)
    settings = dict(default_scope='mmaddp', model=addp(encoder=encoder, condition=condition))
    settings['optim_wrapper'] = dict(optimizer=dict(type='SGD', lr=0.0))
    Config(settings).dump(tmp_path / 'tiny.py')
    out = tmp_path / 'speed.json'
    options = ('--runs', '2', '--device', 'cpu', '--out', str(out))
    tool.main([str(tmp_path / 'tiny.py'), *options])

    figures = json.loads(out.read_text())
    plain = figures['plain']['losses']
    assert abs(plain[0] - plain[1]) > 1e-4
    for form in ('plain', 'package', 'tokens'):
        assert figures[form]['losses'] == pytest.approx(plain, rel=1e-6)
        seconds = figures[form]['seconds']
        assert list(seconds) == [
            *('tokenize', 'predict_tokens', 'synthesize', 'encode', 'decode'),
            *('loss', 'backward', 'optimizer'),
        ]
        assert all(value > 0 for value in seconds.values())
        assert figures[form]['images_per_second'] == pytest.approx(2 / figures[form]['total_s'])
    assert figures['plain']['over_plain'] == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if 'images/s' in line]
    assert [line.split()[0] for line in lines] == ['plain', 'package', 'tokens']
