"""Predictions on images without labels, against OpenMMLab's own functions."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from pycocotools.coco import COCO
from scripts import run_main

from mmaddp.apis import predict
from mmaddp.apis.prediction import list_images
from mmaddp.apis.prediction_files import PredictionFolder
from mmaddp.engine.runs import load_config
from mmaddp.utils import UserError

CONFIGS = dict(
    detector='det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py',
    segmentor='seg/addp/upernet_addp-vit-toy_1xb8-600i_camvid-112x112.py',
    classifier='cls/addp/addp_vit-toy_1xb64-20e_cifar10-64px.py',
)
CLASSES = ('cat', 'dog')
OPTIONS = dict(
    detector={'model.roi_head.bbox_head.num_classes': 2, 'model.roi_head.mask_head.num_classes': 2},
    segmentor={'model.decode_head.num_classes': 2, 'model.auxiliary_head.num_classes': 2},
    classifier={'model.head.num_classes': 2},
)


@pytest.fixture(scope='module')
def images(tmp_path_factory) -> Path:
    """Four images of two sizes, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp('images')
    (folder / 'more').mkdir()
    random = np.random.default_rng(0)
    sizes = {'a.jpg': (60, 80), 'a.png': (60, 80), 'b.png': (48, 64), 'more/a.jpg': (60, 80)}
    for name, size in sizes.items():
        pixels = random.integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(size[::-1]).save(folder / name)
    return folder


@pytest.fixture(scope='module')
def model(repository, tmp_path_factory):
    """A config by task, and the file of its random weights."""

    def make(task: str) -> tuple[Config, Path]:
        config = load_config(repository / 'configs' / CONFIGS[task], OPTIONS[task])
        init_default_scope(config.default_scope)
        torch.manual_seed(0)
        state = MODELS.build(config.copy().model).state_dict()
        path = tmp_path_factory.mktemp(task) / 'weights.pth'
        meta = dict(dataset_meta=dict(classes=CLASSES, palette=[(255, 0, 0), (0, 0, 255)]))
        torch.save(dict(state_dict=state, meta=meta), path)
        return config, path

    return make


def test_a_detector_predicts_as_mmdetection_does(model, images, tmp_path):
    from mmdet.apis import DetInferencer, inference_detector, init_detector

    config, weights = model('detector')
    samples = predict(config, weights, images, tmp_path, batch_size=3, device='cpu')
    theirs = init_detector(config.copy(), str(weights), device='cpu', palette='random')
    assert len(samples) == 4
    for sample in samples:
        expected = inference_detector(theirs, sample.img_path).pred_instances
        assert len(expected)
        assert torch.allclose(sample.pred_instances.scores, expected.scores, atol=1e-5)
        assert torch.allclose(sample.pred_instances.bboxes, expected.bboxes, atol=1e-2)
    check_coco(tmp_path / 'predictions.json', samples)
    inferencer = DetInferencer(config.copy(), str(weights), device='cpu', show_progress=False)
    (found,) = inferencer(samples[0].img_path, return_datasamples=True)['predictions']
    assert torch.equal(found.pred_instances.labels, samples[0].pred_instances.labels)


def check_coco(path: Path, samples: list) -> None:
    coco = COCO(path)
    assert [each['name'] for each in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert {each['file_name'] for each in coco.imgs.values()} == {
        *('a.jpg', 'a.png', 'b.png', 'more/a.jpg')
    }
    assert len(coco.anns) == sum(len(sample.pred_instances) for sample in samples)
    first, sample = coco.loadAnns(coco.getAnnIds(imgIds=[1])), samples[0]
    boxes = np.array([each['bbox'] for each in first])
    boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_allclose(boxes, sample.pred_instances.bboxes.numpy(), atol=0.02)
    masks = np.stack([coco.annToMask(each) for each in first])
    np.testing.assert_array_equal(masks, sample.pred_instances.masks.numpy())


def test_a_segmentor_predicts_as_mmsegmentation_does(model, images, tmp_path):
    from mmseg.apis import MMSegInferencer, inference_model, init_model

    config, weights = model('segmentor')
    samples = predict(config, weights, images, tmp_path, batch_size=3, device='cpu')
    theirs = init_model(config.copy(), str(weights), device='cpu')
    for sample, name in zip(samples, ('a.jpg.png', 'a.png.png', 'b.png', 'more/a.png')):
        expected = inference_model(theirs, sample.img_path).pred_sem_seg.data[0].numpy()
        written = Image.open(tmp_path / 'maps' / name)
        np.testing.assert_array_equal(np.asarray(written), expected)
        assert written.getpalette()[:6] == [255, 0, 0, 0, 0, 255]
        assert (tmp_path / 'vis' / f'{name[:-4]}.jpg').is_file()
    inferencer = MMSegInferencer(config.copy(), str(weights), device='cpu')
    found = inferencer(samples[0].img_path, return_datasamples=True, show=False)
    assert torch.equal(found.pred_sem_seg.data, samples[0].pred_sem_seg.data)
    rows = list(csv.reader((tmp_path / 'classes.csv').open()))
    assert rows == [['index', 'name'], ['0', 'cat'], ['1', 'dog']]


def test_a_classifier_predicts_as_mmpretrain_does(model, images, tmp_path):
    from mmpretrain.apis import ImageClassificationInferencer

    config, weights = model('classifier')
    samples = predict(config, weights, images, tmp_path, batch_size=3, device='cpu')
    theirs = ImageClassificationInferencer(config.copy(), pretrained=str(weights), device='cpu')
    rows = list(csv.reader((tmp_path / 'predictions.csv').open()))
    assert rows[0] == ['file', 'class_1', 'score_1', 'class_2', 'score_2']
    for sample, row in zip(samples, rows[1:]):
        expected = theirs(sample.img_path)[0]
        assert row[1] == expected['pred_class'] == CLASSES[sample.pred_label.item()]
        assert float(row[2]) == pytest.approx(expected['pred_score'], abs=1e-4)


def test_an_image_that_cannot_be_read_is_left_out(model, images, tmp_path, repository, capsys):
    config, weights = model('classifier')
    config.dump(tmp_path / 'config.py')
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'no image')
    words = [
        tmp_path / 'config.py',
        weights,
        broken,
        images / '*.png',
        '--out-dir',
        tmp_path / 'out',
    ]
    run_main(repository / 'tools/predict.py', [str(word) for word in words])
    assert 'predictions of 2 images' in capsys.readouterr().out
    assert len((tmp_path / 'out/predictions.csv').read_text().splitlines()) == 3


def test_warnings_reach_the_console_of_a_fresh_process(repository):
    program = (
        'from mmengine.logging import print_log\nfrom mmaddp.apis import load_config\n'
        f"load_config('configs/{CONFIGS['classifier']}')\n"
        "print_log('left out', 'current', level=30)"
    )
    printed = subprocess.check_output([sys.executable, '-c', program], cwd=repository, text=True)
    assert 'left out' in printed


def test_an_image_too_small_for_the_model_is_left_out(model, images, tmp_path):
    config, weights = model('segmentor')
    # The config's resizing would enlarge it.
    config.test_pipeline.pop(1)
    config.test_dataloader.dataset.pipeline.pop(1)
    Image.new('RGB', (1, 1)).save(tmp_path / 'one.png')
    assert len(predict(config, weights, [tmp_path / 'one.png', images / '*.png'])) == 2


def test_an_image_too_small_to_draw_on_is_predicted(model, images, tmp_path, monkeypatch):
    config, weights = model('classifier')
    Image.new('RGB', (9, 1)).save(tmp_path / 'thin.png')
    drawn = []

    def draw(folder, prediction):
        if min(prediction.image.shape[:2]) == 1:
            raise AttributeError('no font fits')
        drawn.append(prediction.file.name)

    monkeypatch.setattr(PredictionFolder, 'draw', draw)
    files = [tmp_path / 'thin.png', images / 'b.png']
    assert len(predict(config, weights, files, tmp_path / 'out')) == 2
    assert drawn == ['b.png']
    assert len((tmp_path / 'out/predictions.csv').read_text().splitlines()) == 3


def test_no_prediction_at_all_is_an_error(model, tmp_path, repository):
    config, weights = model('classifier')
    config.dump(tmp_path / 'config.py')
    (tmp_path / 'broken.jpg').write_bytes(b'no image')
    words = [tmp_path / 'config.py', weights, tmp_path / 'broken.jpg', '--out-dir', tmp_path / 'o']
    with pytest.raises(UserError, match='none of the 1 images'):
        run_main(repository / 'tools/predict.py', [str(word) for word in words])


def test_names_of_results_are_unique(images, tmp_path):
    stems = [file.stem for file in list_images(images)]
    assert sorted(stems) == ['a.jpg', 'a.png', 'b', 'more/a']
    for name in ('a.jpg', 'a.png', 'a.jpg.png'):
        (tmp_path / name).write_bytes(b'')
    assert sorted(file.stem for file in list_images(tmp_path)) == ['a.jpg', 'a.jpg.png', 'a.png']
    assert [file.stem for file in list_images([images / 'b.png', images / 'b.png'])] == ['b']
    with pytest.raises(UserError, match='have one name: give the folder that holds both'):
        list_images([images / 'a.jpg', images / 'more/a.jpg'])
    with pytest.raises(UserError, match=r'none\.jpg: there is no such image'):
        list_images([tmp_path / 'none.jpg'])


def test_an_image_is_never_replaced_by_its_drawing(model, images, tmp_path):
    config, weights = model('classifier')
    (tmp_path / 'vis').mkdir()
    Image.open(images / 'b.png').save(tmp_path / 'vis/b.jpg')
    before = (tmp_path / 'vis/b.jpg').read_bytes()
    with pytest.raises(UserError, match='would be replaced: set another --out-dir'):
        predict(config, weights, tmp_path / 'vis', tmp_path, device='cpu')
    assert (tmp_path / 'vis/b.jpg').read_bytes() == before


def test_a_config_without_predictions_is_refused(repository, tmp_path):
    config = repository / 'configs/pretrain/darl/darl-mse_vit-toy_1xb64-3000i_image-folder-64px.py'
    with pytest.raises(UserError, match='take a config of configs/det, configs/seg or configs/cls'):
        predict(config, tmp_path / 'none.pth', tmp_path)


def test_names_of_another_data_set_are_not_taken(model, images, tmp_path):
    config, weights = model('detector')  # whose test set has COCO's 80 names
    state = torch.load(weights, weights_only=True)['state_dict']
    torch.save(dict(state_dict=state), tmp_path / 'bare.pth')
    predict(config, tmp_path / 'bare.pth', images / 'b.png', tmp_path, device='cpu')
    content = json.loads((tmp_path / 'predictions.json').read_text())
    assert [each['name'] for each in content['categories']] == ['0', '1']
