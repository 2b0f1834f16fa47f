import json

import pytest
from scripts import load_script

from mmaddp.experiments.logs import plot_accuracies
from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def tool(repository):
    return load_script(repository / 'tools/analysis_tools/plot_noise_accuracy.py')


def write_log(folder, *records):
    (folder / 'vis_data').mkdir(parents=True)
    lines = '\n'.join(json.dumps(record) for record in records)
    (folder / 'vis_data/scalars.json').write_text(lines)


def measured(step, **by_level):
    levels = {f'accuracy/level_{name[1:]}': value for name, value in by_level.items()}
    return {**levels, 'accuracy/mean': 50.0, 'step': step}


def test_the_last_accuracies_of_each_run(tool, tmp_path, capsys):
    write_log(tmp_path / 'ddae/1', {'loss': 1.0, 'step': 5}, measured(1, t1=60.0, t51=30.0))
    write_log(tmp_path / 'ddae/2', measured(2, t1=80.0, t51=40.0), {'loss': 0.5, 'step': 9})
    write_log(tmp_path / 'tested/1', measured(2, t1=0.0, t51=0.0))
    (tmp_path / 'tested/test_metrics.json').write_text(json.dumps(measured(0, t1=70.0, t51=20.0)))
    write_log(tmp_path / 'edm/1', measured(15, t1=90.0, t2=85.0, t3=50.0))
    folders = [str(tmp_path / name) for name in ('ddae', 'tested', 'edm')]
    tool.main([*folders, '--out', str(tmp_path / 'figure.png')])
    assert json.loads((tmp_path / 'figure.json').read_text()) == {
        'ddae': {'1': 80.0, '51': 40.0},
        'tested': {'1': 70.0, '51': 20.0},
        'edm': {'1': 90.0, '2': 85.0, '3': 50.0},
    }
    assert (tmp_path / 'figure.png').read_bytes().startswith(b'\x89PNG')
    assert 'figure.json' in capsys.readouterr().out


def test_a_curve_for_each_run_beside_those_of_its_levels():
    runs = {'a': {1: 80.0, 51: 40.0}, 'b': {51: 20.0, 1: 70.0}, 'c': {1: 90.0, 2: 85.0}}
    panels = plot_accuracies(runs).axes
    drawn = [
        {line.get_label(): line.get_xydata().tolist() for line in panel.lines} for panel in panels
    ]
    assert drawn == [
        {'a': [[1, 80], [51, 40]], 'b': [[1, 70], [51, 20]]},
        {'c': [[1, 90], [2, 85]]},
    ]


def test_runs_of_one_name_are_told_apart_by_their_paths(tool, tmp_path):
    folders = [tmp_path / name / 'seed-0' for name in 'ab']
    for folder, value in zip(folders, (80.0, 70.0)):
        write_log(folder / '1', measured(1, t1=value))
    tool.main([*map(str, folders), '--out', str(tmp_path / 'figure.svg')])
    numbers = json.loads((tmp_path / 'figure.json').read_text())
    assert numbers == {str(folders[0]): {'1': 80.0}, str(folders[1]): {'1': 70.0}}


def test_an_unknown_image_format_is_refused(tool, tmp_path):
    write_log(tmp_path / 'run/1', measured(1, t1=80.0))
    with pytest.raises(ValueError, match="Format 'abc' is not supported"):
        tool.main([str(tmp_path / 'run'), '--out', str(tmp_path / 'figure.abc')])
    assert not list(tmp_path.glob('figure*'))


def test_a_run_without_these_accuracies_is_refused(tool, tmp_path):
    write_log(tmp_path / 'other/1', {'loss': 3.0, 'step': 10})
    with pytest.raises(UserError, match=r'other has no accuracy/level_\*'):
        tool.main([str(tmp_path / 'other')])
