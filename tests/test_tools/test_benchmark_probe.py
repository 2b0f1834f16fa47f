"""The benchmark measures the grid and every cell of it."""

import json
import statistics

import pytest
from scripts import run_main
from tiny_ddae import ddae
from tiny_probe import probe_config

from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp('benchmark') / 'probe.py'
    probe_config('pictures', path.parent / 'work', ddae(), levels=[1, 300], pixels=8).dump(path)
    return path


def test_figures_are_of_all_cells(repository, config, tmp_path):
    words = [config, '--img-size', 8, '--batch-size', 2, '--device', 'cpu']
    words += ['--out', tmp_path / 'speed.json']
    script = repository / 'tools/analysis_tools/benchmark_probe.py'
    run_main(script, [str(word) for word in words])
    figures = json.loads((tmp_path / 'speed.json').read_text())
    # 4 blocks at 2 levels; the control on pixels is no pass of the encoder.
    assert figures['cells'] == 8
    assert len(figures['seconds']['grid']) == len(figures['seconds']['alone']) == 3
    grid, alone = (statistics.median(figures['seconds'][name]) for name in ('grid', 'alone'))
    assert figures['ratio'] == pytest.approx(alone / grid)
    # 8 passes of half of the way up on average, and 2 to its end.
    assert alone > grid
    with pytest.raises(UserError, match='--runs: must be 1 or more'):
        run_main(script, [str(config), '--runs', '0'])
