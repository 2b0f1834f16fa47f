"""A fine-tuning config takes the best cell up, or says in one line why it cannot."""

import json

import pytest
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS
from tiny_ddae import UNET
from tiny_diffusers import save_unet

from mmaddp.engine.best_cell import fit_dense
from mmaddp.engine.runs import load_config
from mmaddp.utils import UserError

CELL = dict(
    encoder='mmaddp.DDAEUNet',
    settings=dict(out_blocks=['out_3'], time=0.011),
    channels=32,
    stride=1,
    layer='out_3',
    level=11,
    metrics=dict(accuracy=88.5),
)
VIT_CELL = dict(
    CELL,
    encoder='mmaddp.DARLViT',
    settings=dict(out_indices=[0]),
    channels=16,
    stride=4,
    layer='block_1',
)
VIT = dict(type='mmaddp.DARLViT', arch=dict(embed_dims=16, num_layers=2, num_heads=2), img_size=32)


@pytest.fixture
def load(tmp_path):
    """Write a config with a backbone and a cell, and read it as the tools do."""

    def read(backbone, cell, options=None, head=None):
        path = tmp_path / 'best_cell.json'
        path.write_text(cell if isinstance(cell, str) else json.dumps(cell))
        head = dict(type='LinearClsHead', num_classes=3, in_channels=7) if head is None else head
        model = dict(type='ImageClassifier', backbone=backbone, head=head)
        config = dict(default_scope='mmpretrain', model=model, best_cell=str(path))
        Config(config).dump(tmp_path / 'config.py')
        return load_config(tmp_path / 'config.py', options)

    return read


def test_a_unet_is_cut_and_told_the_time(load):
    config = load(dict(UNET, out_blocks=['out_1'], time=0.5), CELL)
    assert config.model.backbone.out_blocks == ['out_3']
    assert config.model.backbone.time == 0.011
    assert config.model.head.in_channels == 32
    network = MODELS.build(config.model.backbone)
    assert list(network.up_blocks) == ['out_1', 'out_2', 'out_3']
    # The config that a run writes down stands by itself.
    assert config.best_cell == 'none'


def test_a_transformer_gives_the_map_of_the_block(load):
    config = load(VIT, VIT_CELL)
    assert config.model.backbone.out_indices == [0]
    assert config.model.head.in_channels == 16


def test_a_unet_of_diffusers_is_cut_and_told_the_timestep(load, tmp_path):
    save_unet(tmp_path / 'unet')
    backbone = dict(type='mmaddp.DiffusersUNet', folder=str(tmp_path / 'unet'))
    settings = dict(out_blocks=['out_2'], time=10.0)
    config = load(backbone, dict(CELL, encoder='mmaddp.DiffusersUNet', settings=settings))
    assert list(MODELS.build(config.model.backbone).up_blocks) == ['out_1', 'out_2']
    assert config.model.backbone.time == 10


def test_options_have_the_last_word(load):
    config = load(UNET, CELL, {'model.backbone.time': 0.2})
    assert config.model.backbone.time == 0.2
    assert load(dict(UNET, time=1), 'broken', {'best_cell': 'none'}).model.backbone.time == 1


@pytest.mark.parametrize(
    ('backbone', 'cell', 'message'),
    [
        (
            VIT,
            CELL,
            'best_cell.json: holds a layer of mmaddp.DDAEUNet, and model.backbone.type is',
        ),
        (UNET, dict(layer='out_1'), 'not a best_cell.json that tools/probe.py has written'),
        (UNET, 'broken', 'not a best_cell.json that tools/probe.py has written'),
    ],
)
def test_a_cell_that_does_not_fit_is_refused(load, backbone, cell, message):
    with pytest.raises(UserError, match=message):
        load(backbone, cell)


def test_a_missing_file_and_a_head_without_channels_are_refused(load, tmp_path):
    with pytest.raises(UserError, match=r'gone.json: not a best_cell.json that tools'):
        load(UNET, CELL, {'best_cell': str(tmp_path / 'gone.json')})
    with pytest.raises(UserError, match=r'no model.head.in_channels'):
        load(UNET, CELL, head=dict(type='FCNHead'))


@pytest.mark.parametrize(
    ('parts', 'expected'),
    [
        (
            dict(neck=dict(type='Feature2Pyramid', embed_dim=8, rescales=[4, 2, 1, 0.5])),
            dict(
                type='mmaddp.SimpleFeaturePyramid',
                in_channels=16,
                out_channels=8,
                num_outs=4,
                scale_factors=[1, 0.5, 0.25, 0.125],
            ),
        ),
        (
            dict(
                neck=dict(
                    type='mmaddp.SimpleFeaturePyramid',
                    in_channels=7,
                    out_channels=8,
                    num_outs=5,
                    in_indices=(0, 1, 1, 1),
                )
            ),
            dict(
                type='mmaddp.SimpleFeaturePyramid',
                in_channels=16,
                out_channels=8,
                num_outs=5,
                scale_factors=[1, 0.5, 0.25, 0.125],
            ),
        ),
        (dict(neck=dict(type='auto')), dict(type='auto')),
    ],
)
def test_a_pyramid_is_made_of_the_one_map(parts, expected):
    model = ConfigDict(decode_head=dict(type='UPerHead', in_channels=[8] * 4), **parts)
    assert fit_dense(model, VIT_CELL)
    assert model.neck.to_dict() == expected
    assert model.decode_head.in_channels == [8] * 4


def test_a_linear_decode_head_takes_the_one_map():
    head = dict(type='mmaddp.LinearHead', in_channels=[7, 7], input_transform='resize_concat')
    model = ConfigDict(decode_head=head)
    assert fit_dense(model, VIT_CELL)
    assert model.decode_head.to_dict() == dict(
        type='mmaddp.LinearHead', in_channels=16, in_index=-1
    )
    assert not fit_dense(ConfigDict(decode_head=dict(type='mmaddp.DPTHead')), VIT_CELL)
