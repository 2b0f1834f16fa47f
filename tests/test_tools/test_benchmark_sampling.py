"""The comparison of sampling with and without cache compares like with like."""

import json

import pytest
from scripts import load_script

from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def tool(repository):
    return load_script(repository / 'tools/analysis_tools/benchmark_sampling.py')


@pytest.mark.parametrize('steps', [0, 2])
def test_both_forms_draw_the_same(tool, tmp_path, capsys, monkeypatch, steps):
    monkeypatch.setitem(tool.ARCHITECTURES, 'tiny', dict(embed_dims=32, num_layers=2, num_heads=2))
    seen = []
    monkeypatch.setattr(
        tool.darl_vit.DARLViT, 'run_causally', counted(tool.darl_vit.DARLViT.run_causally, seen)
    )
    words = ['--arch', 'tiny', '--img-size', '32', '--patch-size', '8', '--batch-size', '2']
    out = tmp_path / 'cache.json'
    tool.main([*words, '--steps', str(steps), '--device', 'cpu', '--out', str(out)])
    figures = json.loads(out.read_text())
    # The start token and the patches so far, or the newest alone.
    assert seen == [*range(1, 17), *[1] * 16]
    assert figures['patches'] == 16
    assert figures['largest_difference'] < 1e-5
    seconds = figures['seconds']
    assert figures['speedup'] == pytest.approx(seconds['uncached'] / seconds['cached'])
    assert '16 patches: x' in capsys.readouterr().out


def counted(function, seen):
    def wrapped(self, content, *arguments, **options):
        seen.append(content.shape[1])
        return function(self, content, *arguments, **options)

    return wrapped


def test_numbers_out_of_their_range(tool):
    with pytest.raises(UserError, match='--batch-size: must be 1 or more'):
        tool.main(['--batch-size', '0'])
