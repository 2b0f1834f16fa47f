import json
import re
import subprocess
import sys

import pytest
from PIL import Image

METRICS = ('bbox_mAP', 'bbox_mAP_50', 'segm_mAP', 'segm_mAP_50')
DETECTORS = ('pre-trained', 'from_scratch')


def run(repository, *arguments):
    command = [sys.executable, repository / 'tools/quickstart.py', *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope='module')
def shapes(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp('quickstart') / 'shapes'
    command = [sys.executable, repository / 'tools/dataset_converters/draw_shapes.py', folder]
    options = ['--num-train', '8', '--num-val', '4', '--size', '128']
    subprocess.run([*command, *options], check=True, capture_output=True)
    return folder


def test_one_step_of_each_training_goes_the_whole_road(repository, shapes, tmp_path):
    """8 images are fewer than the batches of 12 and 16."""
    done = run(repository, shapes, '--max-iters', '1', '--work-dir', tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    for name in DETECTORS:
        metrics = json.loads((tmp_path / name / 'test_metrics.json').read_text())
        # A step has learned nothing; where nothing is detected there are no figures.
        assert metrics.get('coco/bbox_mAP', 0) < 0.01
        assert metrics.get('coco/segm_mAP', 0) < 0.01
        assert len(list((tmp_path / name / 'images').rglob('*.jpg'))) == 4
    samples = list((tmp_path / 'samples').glob('*.png'))
    assert len(samples) == 16
    assert Image.open(samples[0]).size == (128, 128)
    assert (tmp_path / 'backbone.pth').is_file()
    check_last_words(done.stdout.rsplit('Done in', 1)[1], tmp_path)
    check_page((tmp_path / 'report.html').read_text())


def check_last_words(said, folder):
    for name in DETECTORS:
        (line,) = (line for line in said.splitlines() if line.strip().startswith(name))
        assert re.findall(r'(\w+) 0\.\d{3}', line) == list(METRICS)
    for file in ('report.html', 'samples', 'pre-trained/images', 'backbone.pth'):
        assert str(folder / file) in said
    assert 'CLASSES=' in said
    assert 'bash tools/dist_train.sh configs/det/addp/mask-rcnn_addp-vit-b_sfp' in said


def check_page(page):
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    # Three losses, reconstructions, samples, the detectors' loss and four detections.
    assert len(sources) == 10
    assert all(source.startswith('data:image/') for source in sources)
    for section in ('Pre-training', 'Detection'):
        assert f'>{section}<' in page
    told = ('Loss of the tokenizer', 'Loss of the token_predictor', 'Loss of the addp')
    told += ('what is left in their tokens', 'generated from nothing', 'Loss of the detectors')
    for caption in (*told, *METRICS, *DETECTORS):
        assert caption in page
    assert page.count('detections at the right</figcaption>') == 4


def test_a_folder_without_annotations_is_one_line(repository, tmp_path):
    done = run(repository, tmp_path, '--work-dir', tmp_path / 'out')
    assert done.returncode == 1
    # What libraries warn of at their import stands before it.
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f'error: {tmp_path}/annotations/instances_train.json: FileNotFound')
    assert 'Traceback' not in done.stderr


def test_annotations_that_are_not_cocos_are_named(repository, tmp_path):
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/instances_train.json').write_text('[1, 2]')
    done = run(repository, tmp_path, '--work-dir', tmp_path / 'out')
    assert done.returncode == 1
    assert 'in COCO format' in done.stderr
