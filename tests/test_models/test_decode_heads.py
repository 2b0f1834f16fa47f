"""Decode heads for dense tasks: depth by bins, DPT without class tokens, linear heads."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn import functional as F

import mmaddp  # noqa: F401
from mmaddp.models.probing.depth import depth_loss, depth_of_logits

MAPS = tuple(torch.rand(2, 8, 4, 4, generator=torch.Generator().manual_seed(i)) for i in range(4))
DPT = dict(
    in_channels=4 * [8],
    embed_dims=8,
    channels=4,
    post_process_channels=[4, 4, 4, 4],
    in_index=[0, 1, 2, 3],
    input_transform='multiple_select',
    norm_cfg=dict(type='BN'),
    dropout_ratio=0.0,
)
HEADS = {
    'linear': dict(type='mmaddp.LinearDepthHead', in_channels=[8, 8, 8, 8], in_index=[0, 1, 2, 3]),
    'dpt': dict(type='mmaddp.DPTDepthHead', **DPT),
    'uper': dict(
        type='mmaddp.UPerDepthHead',
        in_channels=4 * [8],
        in_index=[0, 1, 2, 3],
        channels=4,
        pool_scales=(1, 2),
        dropout_ratio=0.0,
    ),
}


def build(**config):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    return MODELS.build(config)


def samples(depth):
    return [SegDataSample(gt_depth_map=PixelData(data=one)) for one in depth]


@pytest.mark.parametrize('name', HEADS)
def test_depth_heads_learn_by_the_losses_of_the_probe(name):
    head = build(**HEADS[name], num_bins=5, min_depth=1.0, max_depth=3.0)
    depth = 1 + 2 * torch.rand(2, 1, 32, 32)
    losses = head.loss(MAPS, samples(depth), None)
    assert set(losses) == {'loss_depth', 'loss_grad'}
    logits = head(MAPS)
    assert logits.shape[1] == 5
    bins = torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0])
    predicted = F.interpolate(depth_of_logits(logits, bins), (32, 32), mode='bilinear')
    expected = depth_loss(predicted[:, 0], depth[:, 0], (1.0, 3.0))
    for loss, wanted in zip(losses.values(), expected):
        torch.testing.assert_close(loss, wanted)
    sum(losses.values()).backward()
    assert head.conv_seg.weight.grad.abs().max() > 0
    with torch.no_grad():
        maps = head.eval().predict(MAPS, [dict(img_shape=(16, 16), pad_shape=(32, 32))] * 2, None)
    assert maps.shape == (2, 1, 32, 32)
    assert 1 <= maps.min() <= maps.max() <= 3


def test_dpt_takes_maps_without_class_tokens():
    head = build(type='mmaddp.DPTHead', num_classes=3, **DPT)
    assert head(MAPS).shape == (2, 3, 32, 32)


def test_dpt_takes_the_maps_of_a_hierarchical_network_at_their_strides():
    widths, sides = [4, 8, 12, 16], [16, 8, 4, 2]
    settings = dict(DPT, in_channels=widths, embed_dims=widths)
    head = build(type='mmaddp.DPTHead', num_classes=3, **settings)
    maps = [torch.rand(2, width, side, side) for width, side in zip(widths, sides)]
    maps = [one.requires_grad_() for one in maps]
    logits = head(maps)
    assert logits.shape == (2, 3, 32, 32)
    logits.square().sum().backward()
    assert all(one.grad.abs().sum() > 0 for one in maps)


def test_a_linear_head_is_a_norm_and_a_convolution():
    head = build(type='mmaddp.LinearHead', in_channels=8, num_classes=3, in_index=1)
    norm = torch.nn.BatchNorm2d(8)
    expected = F.conv2d(norm(MAPS[1]), head.conv_seg.weight, head.conv_seg.bias)
    torch.testing.assert_close(head(MAPS), expected)
    joined = build(type='mmaddp.LinearHead', in_channels=[8, 8], num_classes=3, in_index=[0, 2])
    assert joined(MAPS).shape == (2, 3, 4, 4)


def test_a_depth_estimator_trains_and_predicts():
    """MMSegmentation's estimator, whole and with sliding windows."""
    model = build(
        type='DepthEstimator',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[0.0] * 3, std=[255.0] * 3, size=(16, 16)
        ),
        backbone=dict(
            type='mmaddp.DARLViT',
            arch=dict(embed_dims=16, num_layers=2, num_heads=2),
            img_size=16,
            patch_size=4,
            out_indices=(1,),
        ),
        decode_head=dict(type='mmaddp.LinearDepthHead', in_channels=16, num_bins=4),
        test_cfg=ConfigDict(mode='slide_flip', crop_size=(16, 16), stride=(8, 8)),
    )
    images = [torch.randint(0, 256, (3, 16, 24)).float()]
    sample = samples(torch.rand(1, 1, 16, 24))[0]
    sample.set_metainfo(dict(ori_shape=(20, 30), img_shape=(16, 24)))
    data = model.data_preprocessor(dict(inputs=images, data_samples=[sample]), False)
    (predicted,) = model(**data, mode='predict')
    assert predicted.pred_depth_map.data.shape == (1, 20, 30)
    losses = model(torch.rand(2, 3, 16, 16), samples(torch.rand(2, 1, 16, 16)), mode='loss')
    assert {'decode.loss_depth', 'decode.loss_grad'} <= set(losses)
