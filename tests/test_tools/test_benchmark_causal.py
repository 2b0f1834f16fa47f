"""The comparison of causal and full attention trains both on the same tokens."""

import json

import pytest
from scripts import load_script

from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def tool(repository):
    return load_script(repository / 'tools/analysis_tools/benchmark_causal.py')


def test_the_ratio_is_that_of_the_medians(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(tool.SIZES, 'tiny', dict(embed_dims=32, num_layers=1, num_heads=2))
    shapes = []
    for form in tool.FORMS.values():
        forward = form.forward

        def recorded(self, images, forward=forward):
            outputs = forward(self, images)
            shapes.append(outputs.shape)
            return outputs

        monkeypatch.setattr(form, 'forward', recorded)
    out = tmp_path / 'causal.json'
    words = ['--arch', 'tiny', '--img-size', '32', '--patch-size', '8', '--batch-size', '2']
    tool.main([*words, '--runs', '3', '--device', 'cpu', '--out', str(out)])
    figures = json.loads(out.read_text())
    assert set(shapes) == {(2, 16, 32)}
    assert len(shapes) == 2 * (3 + 1)
    full, causal = (sorted(figures['seconds'][form])[1] for form in ('full', 'causal'))
    assert figures['ratio'] == pytest.approx(full / causal)
    assert f'x{figures["ratio"]:.2f}' in capsys.readouterr().out


def test_no_steps_are_no_measurement(tool):
    with pytest.raises(UserError, match='--runs: must be 1 or more'):
        tool.main(['--runs', '0'])
