import json
import subprocess
import sys

import pytest


def run(repository, *arguments):
    command = [sys.executable, repository / 'tools/quickstart.py', *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope='module')
def shapes(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp('quickstart') / 'shapes'
    command = [sys.executable, repository / 'tools/dataset_converters/draw_shapes.py', folder]
    options = ['--num-train', '8', '--num-val', '4', '--size', '128']
    subprocess.run([*command, *options], check=True, capture_output=True)
    return folder


def test_one_step_scores_nothing_and_everything_is_written(repository, shapes, tmp_path):
    done = run(repository, shapes, '--max-iters', '1', '--work-dir', tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    metrics = json.loads((tmp_path / 'test_metrics.json').read_text())
    assert metrics.get('coco/bbox_mAP', 0) < 0.01
    assert metrics.get('coco/segm_mAP', 0) < 0.01
    assert len(list((tmp_path / 'pictures').rglob('*.jpg'))) == 4
    assert (tmp_path / 'iter_1.pth').is_file()
    report = done.stdout.rsplit('Done in', 1)[1]
    for promised in ('segm_mAP', 'pictures', '.log', 'bash tools/dist_train.sh'):
        assert promised in report


def test_a_folder_without_annotations_is_one_line(repository, tmp_path):
    done = run(repository, tmp_path, '--work-dir', tmp_path / 'out')
    assert done.returncode == 1
    assert done.stderr.startswith(f'error: {tmp_path}/annotations/instances_train.json is missing')
    assert done.stderr.count('\n') == 1


def test_annotations_that_are_not_cocos_are_named(repository, tmp_path):
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/instances_train.json').write_text('[1, 2]')
    done = run(repository, tmp_path, '--work-dir', tmp_path / 'out')
    assert done.returncode == 1
    assert 'not in COCO format' in done.stderr
