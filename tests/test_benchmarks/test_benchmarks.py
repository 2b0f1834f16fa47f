"""Each benchmark compares forms that compute the same."""

import json

import pytest
import torch
from mmengine.config import Config
from tiny_addp import ARCH, addp
from tiny_ddae import augmented, ddae
from tiny_probe import probe_config
from tiny_runs import classifier

from mmaddp.models.layers.unet import SpatialAttention
from mmaddp.utils import UserError


def figures_of(benchmark, tmp_path, *arguments):
    out = tmp_path / 'figures.json'
    benchmark.main([*map(str, arguments), '--device', 'cpu', '--out', str(out)])
    return json.loads(out.read_text())['forms']


def assert_consistent(figures, baseline, batch_size):
    for each in figures.values():
        assert all(seconds > 0 for seconds in each['seconds'].values())
        assert each['images_per_second'] == pytest.approx(batch_size / each['total_s'])
        assert each['speedup'] == pytest.approx(figures[baseline]['total_s'] / each['total_s'])


@pytest.mark.parametrize('condition', ['z_t+1', 'z_t'])
def test_addp_step(load_benchmark, tmp_path, condition):
    """Nothing is dropped and nothing learned, so that the masks alone change the loss."""
    encoder = dict(type='mmaddp.ADDPViT', arch=ARCH, img_size=64)
    settings = dict(default_scope='mmaddp', model=addp(encoder=encoder, condition=condition))
    settings['optim_wrapper'] = dict(optimizer=dict(type='SGD', lr=0.0))
    Config(settings).dump(tmp_path / 'tiny.py')
    figures = figures_of(load_benchmark('addp_step'), tmp_path, tmp_path / 'tiny.py', '--runs', 2)
    losses = figures['plain']['losses']
    assert abs(losses[0] - losses[1]) > 1e-4
    for form in ('plain', 'ours', 'tokens'):
        assert figures[form]['losses'] == pytest.approx(losses, rel=1e-6)
        assert list(figures[form]['seconds']) == [
            *('tokenize', 'predict_tokens', 'synthesize', 'encode', 'decode'),
            *('loss', 'backward', 'optimizer'),
        ]
    assert_consistent(figures, 'plain', 2)


def test_addp_generation(load_benchmark, tmp_path):
    settings = dict(default_scope='mmaddp', model=addp())
    Config(settings).dump(tmp_path / 'tiny.py')
    arguments = [tmp_path / 'tiny.py', '--steps', 2, '--batch-size', 2]
    figures = figures_of(load_benchmark('addp_generation'), tmp_path, *arguments)
    assert list(figures) == ['ours']
    assert_consistent(figures, 'ours', 2)


def test_vitdet_backbone(load_benchmark, tmp_path, monkeypatch):
    benchmark = load_benchmark('vitdet_backbone')
    monkeypatch.setitem(benchmark.SIZES, 'base', (64, 4, 2))
    monkeypatch.setattr(benchmark, 'measure_memory', lambda form, args: 1.0)
    figures = figures_of(benchmark, tmp_path, '--img-size', 256, '--runs', 1)
    assert list(figures) == ['bias', 'ours']
    assert_consistent(figures, 'bias', 1)


def test_bias_is_the_same_function(load_benchmark):
    benchmark = load_benchmark('vitdet_backbone')
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 2, 12, 8)
    tables = torch.randn(5, 8), torch.randn(7, 8)
    ours = benchmark.attention.rel_pos_attention(q, k, v, *tables, (3, 4))
    assert torch.allclose(benchmark.bias_attention(q, k, v, *tables, (3, 4)), ours, atol=1e-5)


def test_darl_causal(load_benchmark, tmp_path, monkeypatch):
    benchmark = load_benchmark('darl_causal')
    monkeypatch.setitem(benchmark.SIZES, 'base', (32, 1, 2))
    shapes = []
    for form in benchmark.FORMS.values():
        monkeypatch.setattr(form, 'forward', recording(form.forward, shapes))
    sizes = ['--img-size', 32, '--patch-size', 8, '--batch-size', 2, '--runs', 3]
    figures = figures_of(benchmark, tmp_path, *sizes)
    assert shapes == [(2, 16, 32)] * 2 * (3 + 1)
    assert_consistent(figures, 'full', 2)


def recording(forward, shapes):
    def recorded(self, images):
        outputs = forward(self, images)
        shapes.append(tuple(outputs.shape))
        return outputs

    return recorded


@pytest.mark.parametrize('steps', [0, 2])
def test_darl_sampling(load_benchmark, tmp_path, monkeypatch, steps):
    benchmark = load_benchmark('darl_sampling')
    monkeypatch.setitem(benchmark.SIZES, 'base', (32, 2, 2))
    seen, vit = [], benchmark.darl_vit.DARLViT
    monkeypatch.setattr(vit, 'run_causally', counting(vit.run_causally, seen))
    arguments = ['--img-size', 32, '--patch-size', 8, '--batch-size', 2, '--steps', steps]
    figures = figures_of(benchmark, tmp_path, *arguments, '--warmup', 0)
    # The start token and the patches so far, or the newest alone.
    assert seen == [*range(1, 17), *[1] * 16]
    assert figures['largest_difference'] <= 1


def counting(function, seen):
    def counted(self, content, *arguments, **options):
        seen.append(content.shape[1])
        return function(self, content, *arguments, **options)

    return counted


def write_config(folder, model):
    optim_wrapper = dict(type='AmpOptimWrapper', dtype='float16', optimizer=dict(type='Adam'))
    settings = dict(default_scope='mmaddp', model=model, optim_wrapper=optim_wrapper)
    Config(settings).dump(folder / 'tiny.py')
    return folder / 'tiny.py'


@pytest.mark.parametrize('model', [ddae(), augmented()], ids=['DDPM', 'EDM'])
def test_ddae_unet_step(load_benchmark, tmp_path, model):
    benchmark = load_benchmark('ddae_unet_step')
    figures = figures_of(benchmark, tmp_path, write_config(tmp_path, model), '--batch-size', 2)
    assert list(figures) == ['plain', 'ours', 'channels-last']
    assert all(each['off'] < 1e-5 for each in figures.values())
    assert_consistent(figures, 'plain', 2)


def test_plain_attention_keeps_its_weights(load_benchmark):
    """It is the same function; what autograd holds for it grows with the square of the pixels."""
    benchmark = load_benchmark('ddae_unet_step')
    torch.manual_seed(0)
    attention, x = SpatialAttention(32), torch.randn(1, 32, 4, 4)

    def saved():
        shapes = []
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: shapes.append(tuple(tensor.shape)) or tensor, lambda tensor: tensor
        )
        with hooks:
            return attention(x), shapes

    fused, fused_shapes = saved()
    with benchmark.plain_formulation():
        plain, plain_shapes = saved()
    assert torch.allclose(fused, plain, atol=1e-6)
    assert any(shape[-2:] == (16, 16) for shape in plain_shapes)
    assert not any(shape[-2:] == (16, 16) for shape in fused_shapes)


def test_probe_grid(load_benchmark, tmp_path):
    config = probe_config('images', tmp_path / 'work', ddae(), levels=[1, 300], pixels=8)
    config.dump(tmp_path / 'probe.py')
    arguments = [tmp_path / 'probe.py', '--img-size', 8, '--batch-size', 2]
    figures = figures_of(load_benchmark('probe_grid'), tmp_path, *arguments)
    # 4 blocks at 2 levels; the control on pixels is no pass of the encoder.
    assert figures.pop('cells') == 8
    # 8 passes of half of the way up on average, and 2 to its end.
    assert figures['grid']['speedup'] > 1
    assert_consistent(figures, 'alone', 2)


def test_no_runs_are_no_measurement(load_benchmark):
    with pytest.raises(UserError, match='--runs=0: must be 1 or more'):
        load_benchmark('darl_causal').main(['--runs', '0'])


def test_import_times(load_benchmark, tmp_path, monkeypatch):
    benchmark = load_benchmark('import_times')
    forms = {
        benchmark.BASELINE: ['-c', 'import json'],
        'slower': ['-c', 'import time; time.sleep(1)'],
    }
    monkeypatch.setattr(benchmark, 'FORMS', forms)
    benchmark.main(['--runs', '1', '--out', str(tmp_path / 'figures.json')])
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert figures[benchmark.BASELINE]['ratio'] == 1
    assert figures['slower']['seconds'] > 1
    assert figures['slower']['ratio'] > 1


def test_plan_memory(load_benchmark, tmp_path):
    """The prediction of a step's memory is that of the step."""
    benchmark = load_benchmark('plan_memory')
    config = classifier(tmp_path, tmp_path)
    predicted = benchmark.trace(config, 64, 'cpu').peak
    assert predicted == pytest.approx(benchmark.measure(config, 64), rel=0.05)


def test_all_compares_what_is_there(load_benchmark, tmp_path, monkeypatch, capsys):
    benchmark = load_benchmark('all')
    theirs = dict(total_s=4.0, speedup=1.0, peak_activations_mib=100.0)
    ours = dict(total_s=2.0, speedup=2.0, peak_activations_mib=50.0)
    figures = dict(forms=dict(theirs=theirs, ours=ours))
    script = f'import pathlib, sys; pathlib.Path(sys.argv[4]).write_text({json.dumps(figures)!r})'
    (tmp_path / 'one.py').write_text(script)
    comparisons = benchmark.Comparison('one', '--addp'), benchmark.Comparison('two', '--ddae')
    monkeypatch.setattr(benchmark, 'COMPARISONS', comparisons)
    monkeypatch.setattr(benchmark, 'HERE', tmp_path)
    benchmark.main(['--addp', str(tmp_path), '--out', str(tmp_path / 'all.json')])
    printed = capsys.readouterr().out
    assert '| one | ours / theirs | 4.00 | 2.00 | 2.00 | 0.50 |' in printed
    assert 'two: left out, it needs --ddae' in printed
    written = json.loads((tmp_path / 'all.json').read_text())
    assert written['one'] == figures['forms']
    assert f'PyTorch {torch.__version__}' in written['machine']
