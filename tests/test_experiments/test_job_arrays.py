"""Job arrays: submitit's local executor with cells of no training, and a comparison's cell."""

import json
from pathlib import Path

import pytest
from tiny_comparison import write_comparison

from mmaddp.experiments.comparison import read_comparison
from mmaddp.experiments.job_arrays import collect, compare_in_arrays, run_array
from mmaddp.experiments.results import ResultsFolder
from mmaddp.utils import UserError


def make_run(folder):
    """What a task runs; a function inside is pickled by value, without this file."""

    def run(key):
        calls = Path(folder) / f'{key.replace("/", "_")}.calls'
        calls.write_text(calls.read_text() + 'x' if calls.exists() else 'x')
        if key == 'cells/bad' and len(calls.read_text()) == 1:
            raise ValueError('a broken node')
        return {'state': 'done', 'metrics': {'top1': len(key)}}

    return run


def test_tasks_fail_resume_and_merge(tmp_path):
    pytest.importorskip('submitit')
    folder, keys = ResultsFolder(tmp_path / 'out'), ['cells/a', 'cells/bad']
    run, options = make_run(str(tmp_path)), {'time': 5}
    with pytest.raises(UserError, match=r'1 of 2 tasks failed, the first is cells/bad: see .*err'):
        run_array(folder, keys, run, options, 'local')
    assert list(folder.results) == ['cells/a']
    run_array(folder, keys, run, options, 'local')
    assert folder.results == {key: {'state': 'done', 'metrics': {'top1': len(key)}} for key in keys}
    # What had ended was not run again.
    assert (tmp_path / 'cells_a.calls').read_text() == 'x'
    with pytest.raises(UserError, match=r'--slurm: .*gpu_count'):
        run_array(folder, ['cells/b'], run, {'gpu_count': 1}, 'local')


def test_results_of_a_killed_array_are_collected(tmp_path):
    folder = ResultsFolder(tmp_path)
    (tmp_path / 'cells/a').mkdir(parents=True)
    (tmp_path / 'cells/a/result.json').write_text('{"state": "done"}')
    collect(folder, ['cells/a', 'cells/b'])
    assert folder.results == {'cells/a': {'state': 'done'}}


def test_a_comparison_runs_probes_first(tmp_path, monkeypatch):
    """In this process, in place of the tasks of an array."""
    spec, waves = write_comparison(tmp_path), []

    def in_place(folder, keys, run, options, cluster):
        waves.append(list(keys))
        for key in keys:
            (folder.path / key).mkdir(parents=True)
            folder.add(key, run(key))

    def train(config):
        cell = dict(encoder='mmaddp.DDAEUNet', settings=dict(out_blocks=['out_2'], time=0.011))
        content = json.dumps({**cell, 'channels': 32, 'stride': 1})
        (Path(config.work_dir) / 'best_cell.json').write_text(content)
        return {'accuracy/best': 40.0, 'accuracy/top1': 50.0}

    monkeypatch.setattr('mmaddp.experiments.job_arrays.run_array', in_place)
    jobs = read_comparison(spec).choose(seeds=[0])
    folder = compare_in_arrays(spec, tmp_path / 'out', jobs, lambda folder: None, {}, train)
    first, second = waves
    assert set(first) == {'probe/ddae/seed-0', 'cls/scratch/seed-0'}
    assert second == ['cls/ddae/seed-0']
    assert folder['cls/ddae/seed-0']['metrics']['accuracy/top1'] == 50
