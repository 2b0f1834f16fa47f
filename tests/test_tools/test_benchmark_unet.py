"""The comparison of the UNet's step with the authors' formulation compares like with like."""

import json

import pytest
import torch
from mmengine.config import Config
from scripts import load_script
from tiny_ddae import augmented, ddae

from mmaddp.models.layers.unet import SpatialAttention
from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def tool(repository):
    return load_script(repository / 'tools/analysis_tools/benchmark_unet.py')


def write_config(folder, model):
    optim_wrapper = dict(type='AmpOptimWrapper', dtype='float16', optimizer=dict(type='Adam'))
    settings = dict(default_scope='mmaddp', model=model, optim_wrapper=optim_wrapper)
    Config(settings).dump(folder / 'tiny.py')
    return str(folder / 'tiny.py')


@pytest.mark.parametrize('model', [ddae(), augmented()], ids=['DDPM', 'EDM'])
def test_all_forms_predict_the_same(tool, model, tmp_path, capsys):
    out = tmp_path / 'speed.json'
    options = ['--batch-size', '2', '--device', 'cpu', '--out', str(out)]
    tool.main([write_config(tmp_path, model), *options])
    figures = json.loads(out.read_text())
    plain = figures['plain']['images_per_second']
    for form in ('plain', 'package', 'channels-last'):
        each = figures[form]
        assert each['difference'] < 1e-5
        assert list(each['seconds']) == ['forward', 'backward', 'optimizer']
        assert all(seconds > 0 for seconds in each['seconds'].values())
        assert each['images_per_second'] == pytest.approx(2 / each['total_s'])
        assert each['over_plain'] == pytest.approx(each['images_per_second'] / plain)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if 'images/s' in line] == list(tool.FORMS)


def test_channels_last_is_what_the_form_says(tool, tmp_path):
    config = write_config(tmp_path, ddae())
    args = tool.parse_args([config, '--device', 'cpu'])
    for form in tool.FORMS:
        step = tool.TrainingStep(form, args)
        feature = step.model.block_features(step.images(1), 1)['out_1']
        last = feature.is_contiguous(memory_format=torch.channels_last)
        assert last == (form == 'channels-last')


def test_plain_attention_keeps_its_weights(tool):
    """It is the same function; what autograd holds for it grows with the square of the places."""
    torch.manual_seed(0)
    attention, x = SpatialAttention(32), torch.randn(1, 32, 4, 4)

    def saved() -> tuple[torch.Tensor, list]:
        shapes = []
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: shapes.append(tuple(tensor.shape)) or tensor, lambda tensor: tensor
        )
        with hooks:
            return attention(x), shapes

    fused, fused_shapes = saved()
    with tool.plain_formulation():
        plain, plain_shapes = saved()
    assert torch.allclose(fused, plain, atol=1e-6)
    assert any(shape[-2:] == (16, 16) for shape in plain_shapes)
    assert not any(shape[-2:] == (16, 16) for shape in fused_shapes)


@pytest.mark.parametrize('option', ['--runs', '--batch-size'])
def test_no_steps_are_no_measurement(tool, option):
    with pytest.raises(UserError, match=f'{option}: must be 1 or more'):
        tool.main([option, '0'])


def test_other_models_are_refused(tool, tmp_path):
    with pytest.raises(UserError, match='holds no UNet of DDAE'):
        tool.main([write_config(tmp_path, dict(type='mmaddp.DDAEUNet')), '--runs', '1'])
