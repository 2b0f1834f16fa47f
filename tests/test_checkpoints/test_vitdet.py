"""detectron2's detectors mean the same in MMDetection's modules.

The expected outputs are detectron2's heads written out with plain functions on its own names.
"""

import mmdet.models  # noqa: F401
import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch.nn import functional as F

import mmaddp.models  # noqa: F401
from mmaddp.checkpoints import convert_checkpoint
from mmaddp.utils import UserError

from .layouts import on_meta, random_weights, vitdet_shapes

CLASSES, OUT, FC = 3, 16, 24
NORM = {'type': 'mmaddp.LN2d', 'eps': 1e-6}
ANCHORS = {
    'type': 'AnchorGenerator',
    'scales': [8],
    'ratios': [0.5, 1.0, 2.0],
    'strides': [4, 8, 16, 32, 64],
}


def build(registry, cfg):
    """Build by MMDetection's bare names, whatever scope another test has left behind."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        return registry.build(cfg)


def coder(x, y):
    return {
        'type': 'DeltaXYWHBBoxCoder',
        'target_means': [0.0] * 4,
        'target_stds': [1 / x, 1 / x, 1 / y, 1 / y],
    }


def box_head(deltas=(10, 5), agnostic=False):
    return {
        'type': 'Shared4Conv1FCBBoxHead',
        'in_channels': OUT,
        'conv_out_channels': OUT,
        'fc_out_channels': FC,
        'num_classes': CLASSES,
        'reg_class_agnostic': agnostic,
        'norm_cfg': NORM,
        'bbox_coder': coder(*deltas),
    }


def detector(cascade=False):
    """MMDetection's Mask R-CNN or Cascade Mask R-CNN as the configs build them, tiny."""

    def extractor(size):
        return {
            'type': 'SingleRoIExtractor',
            'roi_layer': {'type': 'RoIAlign', 'output_size': size, 'sampling_ratio': 0},
            'out_channels': OUT,
            'featmap_strides': [4, 8, 16, 32],
        }

    roi_head = {
        'type': 'CascadeRoIHead' if cascade else 'StandardRoIHead',
        'bbox_roi_extractor': extractor(7),
        'bbox_head': box_head(),
        'mask_roi_extractor': extractor(14),
        'mask_head': {
            'type': 'FCNMaskHead',
            'in_channels': OUT,
            'conv_out_channels': OUT,
            'num_classes': CLASSES,
            'norm_cfg': NORM,
        },
    }
    if cascade:
        stages = [box_head(deltas, agnostic=True) for deltas in ((10, 5), (20, 10), (30, 15))]
        roi_head |= {'num_stages': 3, 'stage_loss_weights': [1] * 3, 'bbox_head': stages}
    return build(
        MODELS,
        {
            'type': 'CascadeRCNN' if cascade else 'MaskRCNN',
            'backbone': {
                'type': 'mmaddp.ADDPViT',
                'arch': {'embed_dims': 32, 'num_layers': 2, 'num_heads': 2},
                'img_size': 64,
                'with_cls_token': False,
                'embed_norm': False,
                'final_norm': False,
                'window_size': 2,
                'global_attn_indexes': (1,),
                'use_rel_pos': True,
            },
            'neck': {'type': 'mmaddp.SimpleFeaturePyramid', 'in_channels': 32, 'out_channels': OUT},
            'rpn_head': {
                'type': 'RPNHead',
                'in_channels': OUT,
                'feat_channels': OUT,
                'num_convs': 2,
                'anchor_generator': ANCHORS,
                'bbox_coder': coder(1, 1),
            },
            'roi_head': roi_head,
            'train_cfg': None,
            'test_cfg': ConfigDict(rpn=None, rcnn=None),
        },
    ).eval()


@pytest.fixture(scope='module', params=[False, True], ids=['mask', 'cascade'])
def pair(request):
    """detectron2's weights and the detector that holds them, converted and loaded strictly."""
    weights = random_weights(vitdet_shapes(request.param, CLASSES, OUT, FC))
    model = detector(request.param)
    model.load_state_dict(convert_checkpoint({'model': weights}, target='detector'), strict=True)
    return weights, model


def d2_conv(weights, name, x, norm=True):
    """detectron2's Conv2d: convolution, LayerNorm over channels, ReLU."""
    weight = weights[f'{name}.weight']
    x = F.conv2d(x, weight, weights.get(f'{name}.bias'), padding=weight.shape[-1] // 2)
    if norm:
        mean, variance = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
        scale, shift = (weights[f'{name}.norm.{p}'].view(1, -1, 1, 1) for p in ('weight', 'bias'))
        x = (x - mean) / (variance + 1e-6).sqrt() * scale + shift
    return x


def linear(weights, name, x):
    return x @ weights[f'{name}.weight'].T + weights[f'{name}.bias']


@torch.no_grad()
def test_region_proposals(pair):
    weights, model = pair
    x = torch.randn(2, OUT, 5, 7, generator=torch.Generator().manual_seed(1))
    name, hidden = 'proposal_generator.rpn_head', x
    for i in range(2):
        hidden = d2_conv(weights, f'{name}.conv.conv{i}', hidden, norm=False).relu()
    logits = d2_conv(weights, f'{name}.objectness_logits', hidden, norm=False)
    deltas = d2_conv(weights, f'{name}.anchor_deltas', hidden, norm=False)
    (scores,), (boxes,) = model.rpn_head([x])
    torch.testing.assert_close(scores, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(boxes, deltas, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_boxes(pair):
    weights, model = pair
    heads = model.roi_head.bbox_head
    stages = [''] if not isinstance(heads, torch.nn.ModuleList) else ['.0', '.1', '.2']
    x = torch.randn(4, OUT, 7, 7, generator=torch.Generator().manual_seed(2))
    for stage, head in zip(stages, [heads] if stages == [''] else heads):
        hidden = x
        for i in range(1, 5):
            hidden = d2_conv(weights, f'roi_heads.box_head{stage}.conv{i}', hidden).relu()
        hidden = linear(weights, f'roi_heads.box_head{stage}.fc1', hidden.flatten(1)).relu()
        predictor = f'roi_heads.box_predictor{stage}'
        scores, boxes = head(x)
        expected = linear(weights, f'{predictor}.cls_score', hidden)
        torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)
        expected = linear(weights, f'{predictor}.bbox_pred', hidden)
        torch.testing.assert_close(boxes, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_masks(pair):
    weights, model = pair
    x = torch.randn(2, OUT, 14, 14, generator=torch.Generator().manual_seed(3))
    hidden, name = x, 'roi_heads.mask_head'
    for i in range(1, 5):
        hidden = d2_conv(weights, f'{name}.mask_fcn{i}', hidden).relu()
    deconv = weights[f'{name}.deconv.weight'], weights[f'{name}.deconv.bias']
    hidden = F.conv_transpose2d(hidden, *deconv, stride=2).relu()
    expected = d2_conv(weights, f'{name}.predictor', hidden, norm=False)
    heads = model.roi_head.mask_head
    for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
        torch.testing.assert_close(head(x), expected, rtol=1e-4, atol=1e-4)


def test_the_copied_mask_heads_share_no_memory(pair):
    _, _model = pair
    weights = random_weights(vitdet_shapes(cascade=True))
    state = convert_checkpoint(weights, target='detector')
    kernels = [state[f'roi_head.mask_head.{i}.conv_logits.weight'] for i in range(3)]
    assert torch.equal(kernels[0], kernels[2])
    assert len({kernel.data_ptr() for kernel in kernels}) == 3


def test_anchors_stand_where_detectron2_puts_them():
    """Area (8 * stride) ** 2, sides in the ratio height / width, centered at the place's corner."""
    anchors = build(TASK_UTILS, ANCHORS).base_anchors
    for stride, level in zip((4, 8, 16, 32, 64), anchors):
        side = 8 * stride
        for ratio, anchor in zip((0.5, 1.0, 2.0), level):
            width, height = side / ratio**0.5, side * ratio**0.5
            expected = torch.tensor([-width, -height, width, height]) / 2
            torch.testing.assert_close(anchor, expected)


def test_box_deltas_decode_as_in_detectron2():
    """Deltas over the weights (10, 10, 5, 5): center moved by dx * w, side times exp(dw)."""
    box, deltas = torch.tensor([[10.0, 20.0, 50.0, 100.0]]), torch.tensor([[1.0, -2.0, 0.5, 0.25]])
    decoded = build(TASK_UTILS, coder(10, 5)).decode(box, deltas)
    dx, dy, dw, dh = (deltas[0] / torch.tensor([10.0, 10.0, 5.0, 5.0])).tolist()
    center = torch.tensor([30 + dx * 40, 60 + dy * 80])
    half = torch.tensor([40.0, 80.0]) * torch.tensor([dw, dh]).exp() / 2
    torch.testing.assert_close(decoded[0], torch.cat([center - half, center + half]))


def test_regions_go_to_the_level_that_detectron2_gives_them():
    """A box of side 224 belongs to stride 16, and one of half the side a level below."""
    extractor = detector().roi_head.bbox_roi_extractor
    sides = torch.tensor([111.0, 113.0, 223.0, 225.0, 449.0, 2000.0, 5.0])
    rois = torch.stack([torch.zeros(7), torch.zeros(7), torch.zeros(7), sides, sides], dim=1)
    expected = (4 + torch.log2(sides / 224)).floor().clamp(2, 5) - 2
    assert extractor.map_roi_levels(rois, 4).tolist() == expected.int().tolist()


def test_class_position_is_dropped_and_the_rest_kept():
    weights = random_weights(vitdet_shapes())
    for target, prefix in (('backbone', ''), ('detector', 'backbone.')):
        state = convert_checkpoint(weights, target=target)
        positions = state[f'{prefix}pos_embed']
        assert torch.equal(positions, weights['backbone.net.pos_embed'][:, 1:])
        assert f'{prefix}cls_token' not in state
    assert all(not key.startswith(('neck', 'backbone')) for key in convert_checkpoint(weights))


def test_heads_are_whole_or_absent():
    shapes = vitdet_shapes()
    trunk = {key: shape for key, shape in shapes.items() if key.startswith('backbone.')}
    state = convert_checkpoint(on_meta(trunk), target='detector')
    assert {key.split('.')[0] for key in state} == {'backbone', 'neck'}
    half = {**trunk, 'roi_heads.mask_head.predictor.bias': (3,)}
    with pytest.raises(UserError, match=r'missing: roi_heads\.mask_head\.'):
        convert_checkpoint(on_meta(half), target='detector')


def test_leftovers_of_training_are_dropped_by_name():
    extra = {'pixel_mean': (3, 1, 1), 'pixel_std': (3, 1, 1)}
    extra |= {f'proposal_generator.anchor_generator.cell_anchors.{i}': (3, 4) for i in range(5)}
    with_extra = convert_checkpoint(on_meta({**vitdet_shapes(), **extra}), target='detector')
    assert set(with_extra) == set(convert_checkpoint(on_meta(vitdet_shapes()), target='detector'))


def test_a_single_rpn_convolution():
    shapes = {key: s for key, s in vitdet_shapes().items() if '.conv.conv1.' not in key}
    shapes = {key.replace('.conv.conv0.', '.conv.'): shape for key, shape in shapes.items()}
    state = convert_checkpoint(on_meta(shapes), target='detector')
    assert state['rpn_head.rpn_conv.weight'].shape == (OUT, OUT, 3, 3)
