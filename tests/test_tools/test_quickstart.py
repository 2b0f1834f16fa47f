"""The pipeline of the quickstart, its tools in forked processes instead of new ones."""

import json
import os
import re
import subprocess
import sys
from unittest import mock

import pytest
from PIL import Image
from scripts import load_script, run_main
from tiny_runs import in_child

from mmaddp.utils import UserError

METRICS = ('box AP', 'box AP50', 'mask AP', 'mask AP50')
DETECTORS = ('pre-trained', 'from_scratch')


@pytest.fixture(scope='module')
def quickstart(repository):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(repository / 'tools')
        yield load_script(repository / 'tools/quickstart.py')


@pytest.fixture
def shapes(repository, tmp_path):
    options = ['--num-train', '8', '--num-val', '4', '--size', '128']
    tool = repository / 'tools/dataset_converters/draw_shapes.py'
    run_main(tool, [str(tmp_path / 'shapes'), *options])
    return tmp_path / 'shapes'


def test_one_step_of_each_training_goes_the_whole_road(
    quickstart, repository, shapes, tmp_path, monkeypatch, capsys
):
    """8 images are fewer than the batch of 32."""

    def run(tool, *words, **environment):
        assert in_child(run_main, repository / tool, [*map(str, words)], environment) == 0

    monkeypatch.setattr(quickstart, 'run', run)
    folder = tmp_path / 'out'
    # The report's configs read the environment. What another task left there does not count.
    with mock.patch.dict(os.environ, ENCODER='other.pth', IMAGE_SIZE='64'):
        quickstart.main([str(shapes), '--max-iters', '1', '--work-dir', str(folder)])
    for name in DETECTORS:
        metrics = json.loads((folder / name / 'test_metrics.json').read_text())
        # A step has learned nothing; where nothing is detected there are no figures.
        assert metrics.get('coco/bbox_mAP', 0) < 0.01
        assert metrics.get('coco/segm_mAP', 0) < 0.01
        assert len(list((folder / name / 'images').rglob('*.jpg'))) == 4
    samples = list((folder / 'samples').glob('*.png'))
    assert len(samples) == 16
    assert Image.open(samples[0]).size == (64, 64)
    check_last_messages(capsys.readouterr().out.rsplit('Done in', 1)[1], folder)
    check_page((folder / 'report.html').read_text())


def check_last_messages(said, folder):
    for name in DETECTORS:
        (line,) = (line for line in said.splitlines() if line.strip().startswith(name))
        assert re.findall(r'(\w+ AP\d*) 0\.\d{3}', line) == list(METRICS)
    for file in ('report.html', 'samples', 'pre-trained/images'):
        assert str(folder / file) in said
    assert 'CLASSES=' in said
    assert 'bash tools/dist_train.sh configs/det/addp/mask-rcnn_addp-vit-b_sfp' in said


def check_page(page):
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    # Four images with their ground truth and the detections of both, two losses, what ADDP restored
    # and generated, and the heat map.
    assert len(sources) == 4 * 3 + 2 + 2 + 1
    assert all(source.startswith('data:image/') for source in sources)
    for section in (
        'Detection',
        'Pre-training',
        'Which layer, which noise level?',
        'The same at full size',
    ):
        assert f'>{section}<' in page
    told = (
        'Loss of the detectors',
        'Loss of ADDP',
        'completed by zoo:',
        'after the steps',
        'that zoo://addp-toy',
    )
    assert re.search(r'<td>zoo://ddae-toy</td><td>\d+\.\d</td>', page)
    for words in (*told, 'box AP50', 'zoo://', 'random weights', 'bash tools/dist_train.sh'):
        assert words in page


def test_a_folder_without_annotations_is_one_line(repository, tmp_path):
    command = [sys.executable, repository / 'tools/quickstart.py', tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    # What libraries warn of at their import stands before it.
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f'error: {tmp_path}/annotations/instances_train.json: FileNotFound')
    assert 'Traceback' not in done.stderr


def test_a_tool_that_fails_ends_it_with_its_status(quickstart):
    with pytest.raises(SystemExit) as ended:
        quickstart.run('tools/test.py', 'absent.py')
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('[1, 2]', 'in COCO format'),
        ('{"categories": []}', 'no categories'),
        ('{"categories": [{"id": 1, "name": 7}]}', 'must be strings'),
        ('{"categories": [{"id": 1, "name": "a,b"}]}', 'without commas'),
    ],
)
def test_annotations_that_are_not_cocos_are_named(quickstart, tmp_path, text, told):
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/instances_train.json').write_text(text)
    with pytest.raises(UserError, match=told):
        quickstart.read_classes(tmp_path)


def test_a_folder_of_other_files_is_left_alone(quickstart, tmp_path):
    sample = tmp_path / 'samples/mine.png'
    sample.parent.mkdir()
    sample.touch()
    refused = pytest.raises(UserError, match='give another --work-dir')
    with mock.patch.dict(os.environ), refused:
        quickstart.main(['--work-dir', str(tmp_path)])
    assert sample.exists()
    quickstart.claim(tmp_path / 'new')
    (tmp_path / 'new/report.html').touch()
    quickstart.claim(tmp_path / 'new')  # a second run
