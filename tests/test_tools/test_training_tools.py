"""The tools as users call them: train, test, several processes, and their errors."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from scripts import run_main
from tiny_runs import classifier, in_child, last_checkpoint, write_images

from mmaddp.engine.runs import visualize_predictions

ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Images, and configs of two sizes of batch without randomness of each process."""
    folder = tmp_path_factory.mktemp('tools')
    images = write_images(folder / 'images', per_class=4)
    config = classifier(images, folder / 'one')
    config.merge_from_dict(
        {'custom_hooks': [], 'model.backbone.drop_path_rate': 0.0, 'model.train_cfg': None}
    )
    config.dump(folder / 'one.py')
    config.merge_from_dict({'train_dataloader.batch_size': 2, 'work_dir': str(folder / 'two')})
    config.dump(folder / 'two.py')
    return folder


@pytest.fixture(scope='module')
def tool(repository):
    """Calls a tool's main in this process."""

    def call(name, *arguments):
        run_main(repository / 'tools' / name, [str(argument) for argument in arguments])

    return call


@pytest.fixture(scope='module')
def trained(folder, tool):
    tool('train.py', folder / 'one.py', '--seed', 3)
    return folder / 'one' / 'epoch_3.pth'


def run(*command):
    return subprocess.run(
        [str(part) for part in command],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_two_processes_end_as_one_with_the_same_global_batch(folder, trained, repository):
    script = repository / 'tools' / 'dist_train.sh'
    done = run('bash', script, folder / 'two.py', 2, '--seed', 3)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (last_checkpoint(folder / name)['state_dict'] for name in ('one', 'two'))
    for name in one:
        if name.endswith('qkv.bias'):
            # Softmax cancels the keys' bias: its gradient is rounding noise, which Adam scales up.
            one[name], two[name] = (np.delete(x[name], slice(8, 16)) for x in (one, two))
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-5)


def test_all_processes_end_when_one_fails(folder, repository, tmp_path):
    images = write_images(tmp_path / 'images', per_class=4)
    (images / 'red' / 'red2.png').write_bytes(b'')
    options = (f'train_dataloader.dataset.data_root={images}', f'work_dir={tmp_path}/work')
    script = repository / 'tools' / 'dist_train.sh'
    done = run('bash', script, folder / 'two.py', 2, '--cfg-options', *options)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('error: process')
    assert 'red2.png is empty' in last


def test_an_error_is_one_line_with_status_1(folder, repository):
    script = repository / 'tools' / 'train.py'
    option = 'train_dataloader.batchsize=2'
    done = run(sys.executable, script, folder / 'one.py', '--cfg-options', option)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1
    assert 'train_dataloader.batch_size' in errors[0]
    assert 'Traceback' not in done.stderr


def test_testing_writes_metrics_predictions_and_images(folder, trained, tool, tmp_path):
    out, shown, work = tmp_path / 'out.pkl', tmp_path / 'shown', tmp_path / 'work'
    options = ('--out', out, '--show-dir', shown, '--work-dir', work)
    tool('test.py', folder / 'one.py', trained, *options)
    metrics = json.loads((work / 'test_metrics.json').read_text())
    assert 0 <= metrics['accuracy/top1'] <= 100
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 12
    correct = np.mean([int(p['pred_label']) == int(p['gt_label']) for p in predictions])
    assert metrics['accuracy/top1'] == pytest.approx(100 * correct)
    assert len(list(shown.glob('*.png'))) == 12


def test_shown_predictions_keep_the_smallest_score_of_the_config(tmp_path):
    hook = {'type': 'DetVisualizationHook', 'score_thr': 0.4}
    config = Config({'default_scope': 'mmdet', 'default_hooks': {'visualization': hook}})
    visualize_predictions(config, str(tmp_path))
    kept = config.default_hooks.visualization
    assert (kept.score_thr, kept.draw, kept.test_out_dir) == (0.4, True, str(tmp_path))


def test_resuming_a_finished_run_changes_nothing(folder, trained, tool):
    before = last_checkpoint(folder / 'one')['state_dict']
    tool('train.py', folder / 'one.py', '--resume')
    after = last_checkpoint(folder / 'one')['state_dict']
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_benchmark_figures(folder, tool, tmp_path):
    out = tmp_path / 'speed.json'
    options = ('--iters', 3, '--warmup', 1, '--batch-size', 4, '--out', out, '--device', 'cpu')
    tool('analysis_tools/benchmark.py', folder / 'one.py', *options)
    figures = json.loads(out.read_text())
    assert figures['image_size'] == [16, 16]
    for stage, phases in (('training', 3), ('inference', 1)):
        milliseconds = figures[stage]['milliseconds']
        assert len(milliseconds) == phases
        rate = 4e3 / sum(milliseconds.values())
        assert figures[stage]['images_per_second'] == pytest.approx(rate, rel=0.7)
        assert figures[stage]['peak_memory_mib'] >= figures[stage]['memory_before_mib'] > 0


def test_benchmark_sees_activations(folder, repository, tmp_path):
    """A larger batch needs more memory and more time, in a process without freed memory."""
    figures = []
    benchmark = repository / 'tools/analysis_tools/benchmark.py'
    for batch_size in (4, 1024):
        out = tmp_path / f'{batch_size}.json'
        options = ('--iters', 2, '--warmup', 1, '--batch-size', batch_size, '--out', out)
        words = [str(word) for word in (folder / 'one.py', *options, '--device', 'cpu')]
        assert in_child(run_main, benchmark, words) == 0
        figures.append(json.loads(out.read_text())['training'])
    few, many = figures
    assert many['peak_memory_mib'] > few['peak_memory_mib']
    assert sum(many['milliseconds'].values()) > sum(few['milliseconds'].values())


def test_printed_config_is_a_config(folder, tool, tmp_path):
    from mmengine.config import Config

    out = tmp_path / 'whole.py'
    option = 'train_dataloader.batch_size=7'
    tool('analysis_tools/print_config.py', folder / 'one.py', '--out', out, '--cfg-options', option)
    assert Config.fromfile(out).train_dataloader.batch_size == 7


def test_browsing_samples_the_same_images_again(folder, tool, tmp_path):
    for name in ('first', 'again'):
        options = ('--output-dir', tmp_path / name, '--number', 3)
        tool('analysis_tools/browse_dataset.py', folder / 'one.py', *options)
    first, again = (sorted((tmp_path / name).glob('*.png')) for name in ('first', 'again'))
    assert len(first) == 3
    for one, other in zip(first, again):
        assert np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))


def test_the_launchers_take_the_python_that_is_named(repository, tmp_path):
    fake = tmp_path / 'python'
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    done = subprocess.run(
        ['bash', str(repository / 'tools' / 'dist_train.sh'), 'a.py', '2'],
        env={**os.environ, 'MMADDP_PYTHON': str(fake)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith('dist_run.py train a.py 2\n')


def run_under_slurm(repository, folder, statuses, **environment):
    """Start slurm_train.sh with an srun that ends with each status in turn."""
    fakes = {
        'srun': (
            f'#!/bin/bash\necho "$@" >>{folder}/calls\n'
            f'status=$(head -1 {folder}/statuses); sed -i 1d {folder}/statuses; exit $status\n'
        ),
        'scontrol': f'#!/bin/bash\necho scontrol "$@" >>{folder}/calls\n',
    }
    for name, text in fakes.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / 'statuses').write_text(''.join(f'{status}\n' for status in statuses))
    variables = {key: value for key, value in os.environ.items() if not key.startswith('SLURM_')}
    variables.update(environment, PATH=f'{folder}:{os.environ["PATH"]}')
    script = repository / 'tools' / 'slurm_train.sh'
    done = subprocess.run(['bash', str(script), 'part', 'job', 'a.py', 'w'], env=variables)
    return done.returncode, (folder / 'calls').read_text().splitlines()


class TestPreemptionUnderSlurm:
    def test_a_preempted_training_is_started_again_with_resume(self, repository, tmp_path):
        status, calls = run_under_slurm(repository, tmp_path, [75, 75, 0])
        assert status == 0
        assert ['--resume' in call.split() for call in calls] == [False, True, True]
        assert all('--signal=USR1@120' in call.split() for call in calls)

    def test_a_batch_job_is_requeued_by_slurm(self, repository, tmp_path):
        status, calls = run_under_slurm(repository, tmp_path, [75], SLURM_JOB_ID='42')
        assert status == 0
        assert calls[1:] == ['scontrol requeue 42']

    def test_a_requeued_batch_job_resumes(self, repository, tmp_path):
        settings = {'SLURM_JOB_ID': '42', 'SLURM_RESTART_COUNT': '1', 'SIGNAL_SECONDS': '60'}
        status, calls = run_under_slurm(repository, tmp_path, [0], **settings)
        assert status == 0
        assert len(calls) == 1
        assert {'--resume', '--signal=USR1@60'} <= set(calls[0].split())

    def test_a_failure_is_not_requeued(self, repository, tmp_path):
        status, calls = run_under_slurm(repository, tmp_path, [1], SLURM_JOB_ID='42')
        assert status == 1
        assert len(calls) == 1


@pytest.mark.parametrize(('name', 'fourth'), [('train', ('--work-dir', 'w')), ('test', ('x.pth',))])
def test_slurm_scripts_start_the_tool(repository, tmp_path, name, fourth):
    fake = tmp_path / 'srun'
    fake.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    fake.chmod(0o755)
    script = repository / 'tools' / f'slurm_{name}.sh'
    path = f'{tmp_path}:{os.environ["PATH"]}'
    done = subprocess.run(
        ['bash', str(script), 'part', 'job', 'a.py', fourth[-1], '--cfg-options', 'a=b c'],
        env={**os.environ, 'PATH': path, 'GPUS': '4', 'SRUN_ARGS': '--quiet --exclusive'},
        capture_output=True,
        text=True,
        check=True,
    )
    arguments = done.stdout.splitlines()
    for word in ('--ntasks=4', '--gres=gpu:4', '--kill-on-bad-exit=1', '--quiet', '--exclusive'):
        assert word in arguments
    tool = next(i for i, word in enumerate(arguments) if word.endswith(f'/{name}.py'))
    expected = ['a.py', *fourth, '--cfg-options', 'a=b c', '--launcher', 'slurm']
    assert arguments[tool + 1 :] == expected
