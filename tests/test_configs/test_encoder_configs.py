"""One config of each task takes any network: neck, widths, strides and pixels follow from it."""

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmaddp.engine.runs import load_config
from mmaddp.utils import UserError

DETECTOR = 'det/encoder/mask-rcnn_encoder_1xb4-500i_coco-folder'
SEGMENTOR = 'seg/encoder/upernet_encoder_1xb8-600i_camvid-224x224'
CLASSIFIER = 'cls/encoder/encoder_1xb64-20e_image-folder-64px'
PROBE = 'cls/encoder/encoder_probe_1xb32-4e_image-folder-64px'
DPT = (
    'seg/encoder/dpt_encoder_1xb8-600i_camvid-224x224',
    'depth/encoder/dpt_encoder_1xb8-600i_drawn-shapes-64x64',
)
ONE_BLOCK = dict(model__backbone__arguments=dict(depth=1))


@pytest.fixture
def configured(repository, monkeypatch):
    def configure(name, model, **options):
        monkeypatch.setenv('ENCODER', model)
        options = {key.replace('__', '.'): value for key, value in options.items()}
        cfg = load_config(repository / f'configs/{name}.py', options)
        init_default_scope(cfg.default_scope)
        return cfg

    return configure


def test_a_plain_network_gets_the_simple_pyramid_with_its_strides(configured):
    model = configured(DETECTOR, 'timm:vit_small_patch14_dinov2', **ONE_BLOCK).model
    assert model.neck.type == 'mmaddp.SimpleFeaturePyramid'
    assert (model.neck.in_channels, model.neck.out_channels) == (384, 48)
    assert model.neck.scale_factors == [4, 2, 1, 0.5]
    # A patch of 14 pixels, four times as fine and four times as coarse.
    assert model.rpn_head.anchor_generator.strides == [3.5, 7, 14, 28, 56]
    assert model.roi_head.mask_roi_extractor.featmap_strides == [3.5, 7, 14, 28]


def test_a_hierarchical_network_gets_the_fpn(configured):
    model = configured(DETECTOR, 'timm:convnext_atto').model
    assert model.neck == dict(
        type='FPN', in_channels=[40, 80, 160, 320], out_channels=48, num_outs=5
    )
    assert model.rpn_head.anchor_generator.strides == [4, 8, 16, 32, 64]


def test_a_network_without_fine_maps_gets_levels_from_its_own_strides(configured):
    model = configured(DETECTOR, 'timm:shvit_s1').model
    assert model.neck.in_channels == [128, 224, 320]
    assert model.rpn_head.anchor_generator.strides == [16, 32, 64, 128, 256]
    assert model.roi_head.bbox_roi_extractor.featmap_strides == [16, 32, 64, 128]


def test_segmentors_read_four_depths_or_four_stages(configured):
    plain = configured(SEGMENTOR, 'timm:vit_tiny_patch16_224').model
    # A quarter, half, three quarters and all of 12 blocks
    assert plain.backbone.out_indices == [2, 5, 8, 11]
    assert plain.neck.type == 'Feature2Pyramid'
    assert plain.neck.embed_dim == 192
    assert plain.decode_head.in_channels == [192] * 4
    pyramid = configured(SEGMENTOR, 'timm:convnext_atto').model
    assert pyramid.neck is None
    assert pyramid.decode_head.in_channels == [40, 80, 160, 320]
    assert pyramid.auxiliary_head.in_channels == 160


@pytest.mark.parametrize('name', DPT)
def test_dpt_takes_four_maps_of_one_width_or_of_their_own(name, configured):
    plain = configured(name, 'timm:vit_tiny_patch16_224').model.decode_head
    assert (plain.in_channels, plain.embed_dims) == ([192] * 4, 192)
    model = configured(name, 'timm:convnext_atto').model
    assert model.decode_head.embed_dims == [40, 80, 160, 320]
    model = MODELS.build(model).eval()
    maps = model.extract_feat(torch.randn(1, 3, 64, 96))
    # Twice the finest map.
    assert model.decode_head(maps).shape[2:] == (32, 48)
    with pytest.raises(UserError, match=r'DPT takes 4 maps and the encoder gives 3: .*out_indices'):
        configured(name, 'timm:shvit_s1')


def test_every_config_takes_network_weights_and_best_cell(repository, monkeypatch):
    settings = dict(ENCODER='timm:resnet18', WEIGHTS='dinov2.pth', BEST_CELL='best_cell.json')
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    paths = sorted(repository.glob('configs/*/encoder/*.py'))
    assert len(paths) >= 7
    for path in paths:
        config = Config.fromfile(path)
        encoder = config.model.get('encoder') or config.model.backbone
        assert encoder.model == 'timm:resnet18', path.stem
        assert encoder.init_cfg == dict(type='Pretrained', checkpoint='dinov2.pth'), path.stem
        assert config.best_cell == 'best_cell.json', path.stem


def test_options_name_the_network_too(configured):
    model = configured(
        CLASSIFIER,
        'timm:no_such_network',
        model__backbone__model='timm:vit_tiny_patch16_224',
        **ONE_BLOCK,
    ).model
    assert model.neck.in_channels == model.head.in_channels == 192


def test_pixels_are_the_networks_own_unless_the_config_says_otherwise(configured):
    model = configured(CLASSIFIER, 'timm:vit_base_patch16_siglip_224', **ONE_BLOCK).model
    assert model.data_preprocessor.mean == [127.5] * 3
    given = configured(
        CLASSIFIER, 'timm:resnet18', model__data_preprocessor__mean=[1.0, 2.0, 3.0]
    ).model
    assert given.data_preprocessor.mean == [1.0, 2.0, 3.0]


@pytest.mark.parametrize('network', ['timm:test_vit', 'timm:convnext_atto'])
@pytest.mark.parametrize('name', [SEGMENTOR, CLASSIFIER, PROBE, DETECTOR])
def test_models_build_and_train_the_whole_network(configured, name, network):
    cfg = configured(name, network)
    model = MODELS.build(cfg.model).train()
    if name == DETECTOR:
        maps = model.extract_feat(torch.randn(1, 3, 64, 96))
        strides = cfg.model.rpn_head.anchor_generator.strides
        assert [one.shape[2] for one in maps] == [-(-64 // stride) for stride in strides]
    elif name == SEGMENTOR:
        maps = model.extract_feat(torch.randn(2, 3, 64, 96))
        assert [one.shape[3] for one in maps] == [24, 12, 6, 3]
    elif name == CLASSIFIER:
        assert model.extract_feat(torch.randn(2, 3, 64, 64))[0].shape == (2, model.head.in_channels)
    else:
        features = model(torch.randn(2, 3, 64, 64))
        assert [cell.layer for cell in features] == model.encoder.layers


def test_the_best_cell_of_a_probe_sets_layer_and_widths(configured, tmp_path, monkeypatch):
    cell = dict(encoder='mmaddp.Encoder', settings=dict(out_indices=[1]), channels=80, stride=8)
    (tmp_path / 'best_cell.json').write_text(json.dumps(cell))
    monkeypatch.setenv('BEST_CELL', str(tmp_path / 'best_cell.json'))
    model = configured(CLASSIFIER, 'timm:convnext_atto').model
    assert model.backbone.out_indices == [1]
    assert model.neck.in_channels == model.head.in_channels == 80


@pytest.mark.parametrize('name', [DETECTOR, SEGMENTOR])
def test_a_pyramid_is_built_from_the_best_cell(configured, tmp_path, monkeypatch, name):
    cell = dict(encoder='mmaddp.Encoder', settings=dict(out_indices=[1]), channels=80, stride=8)
    (tmp_path / 'best_cell.json').write_text(json.dumps(cell))
    monkeypatch.setenv('BEST_CELL', str(tmp_path / 'best_cell.json'))
    cfg = configured(name, 'timm:convnext_atto')
    assert cfg.model.backbone.out_indices == [1]
    assert cfg.model.neck.scale_factors == [2, 1, 0.5, 0.25]
    maps = MODELS.build(cfg.model).extract_feat(torch.randn(2, 3, 64, 96))
    # Strides 4, 8, 16 and 32, and half the last one for detectors.
    assert [one.shape[3] for one in maps] == [24, 12, 6, 3, 2][: len(maps)]
    assert len(maps) == (5 if name == DETECTOR else 4)


def test_wrong_names_and_keys_name_the_config(configured):
    with pytest.raises(UserError, match=r'upernet_encoder.*did you mean.*convnext_atto'):
        configured(SEGMENTOR, 'timm:convnext_ato')
    with pytest.raises(UserError, match=r'model\.backbone\.windowsize.*window_size'):
        configured(DETECTOR, 'timm:convnext_atto', model__backbone__windowsize=14)
