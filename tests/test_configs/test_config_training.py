"""One small config of each family trains a few steps and evaluates, on real images."""

import math
import tarfile
from pathlib import Path

import pytest
from config_runs import all_names, load, shorten, train_and_evaluate
from mmengine.runner import Runner

pytestmark = pytest.mark.generations

DETECTORS = {
    'det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py': {},
    # A pyramid over four depths.
    'det/darl/mask-rcnn_darl-vit-toy_sfp_1xb4-500i_coco-folder.py': {
        'model.backbone.out_indices': (0, 1, 2, 3),
        'model.neck.in_indices': (0, 1, 2, 3),
    },
}
SEGMENTATION = 'seg/addp/upernet_addp-vit-toy_1xb8-600i_camvid-112x112.py'
SEGMENTATIONS = [SEGMENTATION, 'seg/darl/upernet_darl-vit-toy_1xb8-600i_camvid-112x112.py']
CLASSIFICATION = 'cls/addp/addp_vit-toy_1xb64-20e_image-folder-64px.py'
LINEAR_PROBE = 'cls/addp/addp_vit-toy_linear_1xb64-20e_image-folder-64px.py'
ADE20K = 'seg/addp/upernet_addp-vit-b_8xb2-amp-160k_ade20k-512x512.py'


@pytest.fixture(scope='module')
def cifar10(shared, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('cifar10')
    with tarfile.open(shared / 'data' / 'cifar10_subset.tar') as archive:
        images = [m for m in archive if m.isfile() and int(Path(m.name).stem) < 8]
        archive.extractall(root, members=images)
    return root / 'cifar10_subset'


@pytest.mark.parametrize('name', DETECTORS)
def test_mask_rcnn_trains_on_a_coco_folder(name, repository, shared, tmp_path, monkeypatch):
    monkeypatch.setenv('COCO_DIR', str(shared / 'data' / 'penn_fudan_coco'))
    cfg = shorten(load(repository, name), tmp_path, batch_size=2, train=4, val=2)
    assert cfg.classes == ('person',)
    cfg.merge_from_dict(DETECTORS[name])
    runner, changed, metrics = train_and_evaluate(cfg)
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= set(metrics)
    assert changed == all_names(runner)
    losses = runner.message_hub.log_scalars['train/loss'].data[0]
    assert all(math.isfinite(loss) for loss in losses)


@pytest.mark.parametrize('name', SEGMENTATIONS)
def test_upernet_trains_on_camvid(name, repository, shared, tmp_path, monkeypatch):
    monkeypatch.setenv('CAMVID_DIR', str(shared / 'data' / 'camvid_ade'))
    cfg = shorten(load(repository, name), tmp_path, batch_size=2, train=4, val=2)
    runner, changed, metrics = train_and_evaluate(cfg)
    assert 0 <= metrics['mIoU'] <= 100
    assert changed == all_names(runner)


def test_sliding_window_and_multi_scale_flip_testing(repository, shared, tmp_path, monkeypatch):
    monkeypatch.setenv('CAMVID_DIR', str(shared / 'data' / 'camvid_ade'))
    cfg = shorten(load(repository, SEGMENTATION), tmp_path, batch_size=2, train=2, val=1)
    cfg.model.backbone.update(img_size=224, patch_size=16)
    ade20k = load(repository, ADE20K)
    # At the smallest scale, 341 x 256, the window is wider than the image, which is not padded.
    cfg.model.test_cfg = dict(mode='slide', crop_size=(400, 400), stride=(266, 266))
    cfg.model.data_preprocessor.test_cfg = ade20k.model.data_preprocessor.get('test_cfg')
    cfg.model = dict(**ade20k.tta_model, module=cfg.model)
    resize, *rest = ade20k.tta_pipeline[1].transforms
    assert [r.scale for r in resize] == [
        (1024, 256),
        (1536, 384),
        (2048, 512),
        (2560, 640),
        (3072, 768),
        (3584, 896),
    ]
    transforms = [resize[:2], *rest]
    cfg.test_dataloader.dataset.pipeline[1:] = [dict(type='TestTimeAug', transforms=transforms)]
    metrics = Runner.from_cfg(cfg).test()
    assert 0 <= metrics['mIoU'] <= 100


def test_classifier_trains_on_an_image_folder(repository, cifar10, tmp_path, monkeypatch):
    monkeypatch.setenv('IMAGE_DIR', str(cifar10))
    cfg = shorten(load(repository, CLASSIFICATION), tmp_path, batch_size=32, train=64, val=32)
    runner, changed, metrics = train_and_evaluate(cfg)
    assert 0 <= metrics['accuracy/top1'] <= 100
    assert changed == all_names(runner)


def test_linear_probe_trains_the_linear_layer_alone(repository, cifar10, tmp_path, monkeypatch):
    monkeypatch.setenv('IMAGE_DIR', str(cifar10))
    cfg = shorten(load(repository, LINEAR_PROBE), tmp_path, batch_size=32, train=64, val=32)
    runner, changed, metrics = train_and_evaluate(cfg)
    assert 0 <= metrics['accuracy/top1'] <= 100
    assert changed == {'head.fc.weight', 'head.fc.bias'}
    assert not list(runner.model.neck.parameters())
