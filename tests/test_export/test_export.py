"""Exported files against the models that they come from."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner.checkpoint import save_checkpoint
from torch import nn

from mmaddp.apis import export, load_config
from mmaddp.export.networks import build_network
from mmaddp.export.two_stage import TwoStageDetector
from mmaddp.utils import UserError

DETECTORS = {
    'mask-rcnn': 'det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py',
    'faster-rcnn': 'det/addp/faster-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py',
    'cascade': 'det/addp/cascade-mask-rcnn_addp-vit-b_sfp_16xb4-lsj-100e_coco.py',
}
SEGMENTOR = 'seg/addp/upernet_addp-vit-toy_1xb8-600i_camvid-112x112.py'
CLASSIFIER = 'cls/addp/addp_vit-toy_1xb64-20e_cifar10-64px.py'


@pytest.fixture
def build(repository):
    """A config and its model with random weights."""

    def make(name: str, **options: object) -> tuple[Config, nn.Module]:
        config = load_config(repository / 'configs' / name, options)
        init_default_scope(config.default_scope)
        torch.manual_seed(0)
        return config, MODELS.build(copy.deepcopy(config.model)).eval()

    return make


def spread(detector: nn.Module) -> nn.Module:
    """Draw last layers and positions so that all scores differ, in padding too, and boxes move."""
    generator = torch.Generator().manual_seed(0)
    drawn = ('rpn_cls', 'rpn_reg', 'fc_cls', 'fc_reg', 'conv_logits', 'pos_embed')
    for name, parameter in detector.named_parameters():
        if name.removesuffix('.weight').split('.')[-1] in drawn:
            nn.init.normal_(parameter, std=0.3, generator=generator)
    return detector


def sample_of(size: tuple[int, int], padded: int):
    from mmdet.structures import DetDataSample

    shape = (padded, padded)
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), batch_input_shape=shape)
    return DetDataSample(metainfo={**meta, 'pad_shape': shape})


@pytest.mark.parametrize('name', DETECTORS)
@pytest.mark.parametrize('size', [(96, 96), (60, 96)])
def test_a_detector_without_branches_finds_the_same(build, name, size):
    small = dict(_delete_=True, embed_dims=32, num_layers=2, num_heads=2)
    options = {
        'model.backbone.arch': small,
        'model.backbone.img_size': 96,
        'model.backbone.global_attn_indexes': (1,),
        'model.backbone.init_cfg': None,
        'model.neck.in_channels': 32,
        'model.test_cfg.rpn.nms_pre': 60,
        'model.test_cfg.rpn.max_per_img': 40,
    }
    _, detector = build(DETECTORS[name], **options)
    spread(detector)
    image = torch.zeros(1, 3, 96, 96)
    image[..., : size[0], : size[1]] = torch.randn(1, 3, *size)
    with torch.no_grad():
        (expected,) = detector.predict(image, [sample_of(size, 96)], rescale=False)
        boxes, scores, labels, *masks = TwoStageDetector(detector)(
            image, torch.tensor(size, dtype=torch.float32)
        )
    expected = expected.pred_instances
    count = len(expected)
    assert 3 < count == (scores > 0).sum()
    torch.testing.assert_close(scores[:count], expected.scores, atol=1e-5, rtol=0)
    torch.testing.assert_close(boxes[:count], expected.bboxes, atol=1e-3, rtol=0)
    assert torch.equal(labels[:count], expected.labels)
    assert len(masks) == (name != 'faster-rcnn')


def round_trip(config: Config, model: nn.Module, folder: Path, format: str, data: dict) -> tuple:
    """Predictions of the model and of its exported file."""
    save_checkpoint(dict(state_dict=model.state_dict()), str(folder / 'weights.pth'))
    size = tuple(data['inputs'][0].shape[-2:])
    if config.default_scope == 'mmdet':
        size = None
    if config.model.get('test_cfg', {}).get('mode') == 'slide':
        size = config.model.test_cfg.crop_size
    suffix = {'onnx': '.onnx', 'torch': '.pt2'}[format]
    path = export(config, folder / 'weights.pth', folder / f'net{suffix}', format, size)
    exported = MODELS.build(dict(type='mmaddp.ExportedModel', model=config.model, file=str(path)))
    with torch.no_grad():
        expected = model.test_step(copy.deepcopy(data))
        results = exported.test_step(copy.deepcopy(data))
    assert list(folder.glob('net*')) == [path]
    return expected[0], results[0]


@pytest.fixture(params=['torch', 'onnx'])
def format(request):
    if request.param == 'onnx':
        for package in ('onnx', 'onnxscript', 'onnxruntime'):
            pytest.importorskip(package)
    return request.param


def test_an_exported_detector_predicts_the_same(build, tmp_path, format):
    config, detector = build(DETECTORS['mask-rcnn'])
    spread(detector)
    sample = sample_of((80, 128), 128)
    sample.set_metainfo(dict(ori_shape=(40, 64), scale_factor=(2.0, 2.0)))
    image = torch.randint(0, 256, (3, 80, 128), dtype=torch.uint8)
    data = dict(inputs=[image], data_samples=[sample])
    expected, found = round_trip(config, detector, tmp_path, format, data)
    expected, found = expected.pred_instances, found.pred_instances
    assert len(expected) == len(found) > 3
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.bboxes, expected.bboxes, atol=1e-2, rtol=0)
    assert found.masks.shape[1:] == (40, 64)
    assert (found.masks == expected.masks).float().mean() > 0.999


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_an_exported_segmentor_predicts_the_same(build, tmp_path, format, mode):
    from mmseg.structures import SegDataSample

    test_cfg = dict(mode=mode)
    if mode == 'slide':
        test_cfg.update(crop_size=(64, 64), stride=(48, 48))
    config, segmentor = build(SEGMENTOR, **{'model.test_cfg': test_cfg})
    image = torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8)
    meta = dict(img_shape=(96, 128), ori_shape=(96, 128), pad_shape=(96, 128))
    data = dict(inputs=[image], data_samples=[SegDataSample(metainfo=meta)])
    expected, found = round_trip(config, segmentor, tmp_path, format, data)
    torch.testing.assert_close(
        found.seg_logits.data, expected.seg_logits.data, atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize('in_rgb', [True, False])
def test_an_exported_segmentor_is_padded_as_the_model(build, tmp_path, in_rgb):
    """By zeros behind the normalization: the mean, not black."""
    from mmseg.structures import SegDataSample

    options = {
        'model.test_cfg': dict(mode='whole'),
        'model.data_preprocessor.test_cfg': dict(size_divisor=8),
        'model.data_preprocessor.bgr_to_rgb': in_rgb,
        'model.data_preprocessor.mean': [60.0, 120.0, 180.0],
    }
    config, segmentor = build(SEGMENTOR, **options)
    save_checkpoint(dict(state_dict=segmentor.state_dict()), str(tmp_path / 'weights.pth'))
    path = export(
        config, tmp_path / 'weights.pth', tmp_path / 'net.pt2', format='torch', size=(112, 112)
    )
    exported = MODELS.build(dict(type='mmaddp.ExportedModel', model=config.model, file=str(path)))
    image = torch.randint(0, 256, (3, 105, 109), dtype=torch.uint8)
    meta = dict(img_shape=(105, 109), ori_shape=(105, 109))
    data = dict(inputs=[image], data_samples=[SegDataSample(metainfo=meta)])
    with torch.no_grad():
        expected, found = (
            model.test_step(copy.deepcopy(data))[0].seg_logits.data
            for model in (segmentor, exported)
        )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_an_exported_classifier_predicts_the_same(build, tmp_path, format):
    from mmpretrain.structures import DataSample

    config, classifier = build(CLASSIFIER)
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    data = dict(inputs=[image], data_samples=[DataSample()])
    expected, found = round_trip(config, classifier, tmp_path, format, data)
    torch.testing.assert_close(found.pred_score, expected.pred_score, atol=1e-4, rtol=0)
    assert found.pred_label == expected.pred_label


def test_another_size_is_refused(build, tmp_path):
    from mmpretrain.structures import DataSample

    config, classifier = build(CLASSIFIER)
    save_checkpoint(dict(state_dict=classifier.state_dict()), str(tmp_path / 'weights.pth'))
    path = export(config, tmp_path / 'weights.pth', tmp_path / 'net.pt2', 'torch')
    exported = MODELS.build(dict(type='mmaddp.ExportedModel', model=config.model, file=str(path)))
    data = dict(inputs=torch.zeros(1, 3, 32, 32), data_samples=[DataSample()])
    with pytest.raises(UserError, match='32 x 32 pixels for a file of 64 x 64'):
        exported.test_step(data)


def test_what_cannot_be_exported_is_refused(build, repository, tmp_path):
    with pytest.raises(UserError, match=r'ends in \.pt2'):
        export(repository / 'configs' / CLASSIFIER, 'none.pth', tmp_path / 'net.onnx', 'torch')
    config, segmentor = build(SEGMENTOR)
    save_checkpoint(dict(state_dict=segmentor.state_dict()), str(tmp_path / 'weights.pth'))
    with pytest.raises(UserError, match='various sizes: give --size HEIGHT WIDTH'):
        export(config, tmp_path / 'weights.pth', tmp_path / 'net.pt2', 'torch')
    with pytest.raises(UserError, match=r'images of 1 x 1 pixels: .*give another --size'):
        export(config, tmp_path / 'weights.pth', tmp_path / 'net.pt2', 'torch', (1, 1))
    assert not (tmp_path / 'net.pt2').exists()
    with pytest.raises(UserError, match='size=0: must be 1 or more'):
        export(config, tmp_path / 'weights.pth', tmp_path / 'net.pt2', 'torch', (0, 64))


@pytest.mark.parametrize(
    'name',
    [
        'pretrain/darl/darl-mse_vit-toy_1xb64-3000i_image-folder-64px.py',
        'det/addp/dino_addp-vit-toy_sfp_1xb4-500i_coco-folder.py',
        'seg/addp/mask2former_addp-vit-toy_1xb8-600i_camvid-112x112.py',
    ],
)
def test_other_models_are_refused(repository, name):
    config = load_config(repository / 'configs' / name)
    init_default_scope(config.default_scope)
    with pytest.raises(UserError, match='export takes two-stage detectors, segmentors'):
        build_network(MODELS.build(copy.deepcopy(config.model)), config, None)
