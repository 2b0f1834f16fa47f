"""The notebooks run, and hold what a whole run of them has shown."""

import json
import tempfile
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / 'notebooks').glob('*.ipynb'))


def code_cells(path):
    return [cell for cell in json.loads(path.read_text())['cells'] if cell['cell_type'] == 'code']


@pytest.mark.slow
@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path, monkeypatch):
    from matplotlib import pyplot

    pyplot.switch_backend('Agg')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    monkeypatch.setattr(pyplot, 'show', lambda: pyplot.close('all'))
    names = {}
    for number, cell in enumerate(code_cells(path), 1):
        exec(compile(''.join(cell['source']), f'{path.name}, cell {number}', 'exec'), names)
        if 'parameters' in cell['metadata'].get('tags', ()):
            names['STEPS'] = 10  # the real number would take a minute


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_it_holds_the_outputs_of_one_run(path):
    cells = code_cells(path)
    assert [cell['execution_count'] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell['outputs']]
    assert not [o for o in outputs if o['output_type'] == 'error' or o.get('name') == 'stderr']
    assert sum('image/png' in output.get('data', {}) for output in outputs) >= 2
    assert path.stat().st_size < 1_000_000
