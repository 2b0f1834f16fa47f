import json

import pytest
from scripts import load_script

from mmaddp.experiments.logs import read_scalars
from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def tool(repository):
    return load_script(repository / 'tools/analysis_tools/plot_log.py')


def write_log(folder, records):
    (folder / 'vis_data').mkdir(parents=True)
    lines = '\n'.join(json.dumps(record) for record in records)
    (folder / 'vis_data/scalars.json').write_text(lines)


def test_a_resumed_run_is_one_curve_and_its_last_word_counts(tool, tmp_path):
    write_log(tmp_path / 'run/1', [{'loss': 3.0, 'step': 10}, {'loss': 2.0, 'step': 20}])
    write_log(tmp_path / 'run/2', [{'loss': 1.5, 'step': 20}, {'mIoU': 40.0, 'step': 20}])
    records = read_scalars(tmp_path / 'run')
    assert [(r['step'], r['loss']) for r in records if 'loss' in r] == [(10, 3.0), (20, 1.5)]
    tool.main([str(tmp_path / 'run'), '--keys', 'loss', 'mIoU', '--out', str(tmp_path / 'a.png')])
    assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')


def test_an_unknown_key_names_those_that_exist(tool, tmp_path):
    write_log(tmp_path / 'run/1', [{'loss': 3.0, 'step': 10}])
    with pytest.raises(UserError, match="--keys='mAP' is none of 'loss', 'step'"):
        tool.main([str(tmp_path / 'run'), '--keys', 'mAP'])
    with pytest.raises(UserError, match=r'holds no .*scalars\.json'):
        tool.main([str(tmp_path)])
