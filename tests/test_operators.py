"""Operators for an mmcv without compiled ones: equal to mmcv's, and to closed forms."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from functools import partial
from importlib.machinery import PathFinder

import mmcv.ops
import pytest
import torch
from compiled_operators import mmcv_extension, use_operators
from config_runs import load
from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

from mmaddp.operators import mmcv_ext
from mmaddp.utils import UserError

pytestmark = pytest.mark.generations

MASK_RCNN = 'det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py'


@pytest.fixture(scope='session')
def compiled(tmp_path_factory):
    return mmcv_extension(tmp_path_factory.mktemp('operators'))


@pytest.fixture
def use(monkeypatch):
    """Let mmcv call the operators of a module."""
    return partial(use_operators, monkeypatch)


def random_boxes(number, size):
    corners = torch.rand(number, 4) * size
    return torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:] / 2], 1)


@pytest.mark.parametrize('threshold', [0.3, 0.5, 0.7])
@pytest.mark.parametrize('offset', [0, 1])
def test_nms_keeps_the_boxes_that_mmcv_keeps(offset, threshold, compiled):
    torch.manual_seed(0)
    # Whole numbers have many overlaps of just the threshold, and scores of few values many ties.
    boxes, scores = random_boxes(400, 20).round(), torch.randint(100, (400,)) / 100
    expected = compiled.nms(boxes, scores, iou_threshold=threshold, offset=offset)
    assert 1 < len(expected) < 400
    torch.testing.assert_close(mmcv_ext.nms(boxes, scores, threshold, offset), expected)


def test_nms_keeps_a_box_that_overlaps_by_the_threshold():
    boxes = torch.tensor([[0, 0, 10, 1], [0, 0, 3, 1], [0, 0, 4, 1.0]])
    assert mmcv_ext.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.3, 0).tolist() == [0, 1]


def test_batched_nms_compares_within_a_class(use):
    use(mmcv_ext)
    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 11, 11], [1, 1, 11, 11.0]])
    scores = torch.tensor([0.7, 0.8, 0.9])
    kept = mmcv.ops.batched_nms(boxes, scores, torch.tensor([0, 0, 1]), dict(iou_threshold=0.5))[1]
    assert kept.tolist() == [2, 1]


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_roi_align_is_that_of_mmcv(sampling_ratio, aligned, compiled, use):
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 16, 24)
    rois = torch.cat([torch.arange(40.0)[:, None] % 2, random_boxes(40, 100)], 1)
    results = []
    for extension in (compiled, mmcv_ext):
        use(extension)
        features = maps.clone().requires_grad_()
        output = mmcv.ops.roi_align(features, rois, (7, 5), 0.25, sampling_ratio, 'avg', aligned)
        output.backward(torch.linspace(-1, 1, output.numel()).view_as(output))
        results.append((output, features.grad))
    for ours, expected in zip(results[1], results[0]):
        torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)


def test_roi_align_averages_a_linear_map_to_the_centers_of_bins(use):
    use(mmcv_ext)
    # The map's value at (x, y) is x + 10 y, with pixel centers at 0.5.
    y, x = torch.meshgrid(torch.arange(8.0) + 0.5, torch.arange(8.0) + 0.5, indexing='ij')
    features = (x + 10 * y)[None, None].requires_grad_()
    rois = torch.tensor([[0, 1.0, 2.0, 5.0, 6.0]])
    output = mmcv.ops.roi_align(features, rois, (2, 2), 1.0, 2, 'avg', True)
    expected = torch.tensor([[2 + 10 * 3, 4 + 10 * 3], [2 + 10 * 5, 4 + 10 * 5.0]])
    torch.testing.assert_close(output[0, 0], expected)
    output.sum().backward()
    assert features.grad.sum().item() == pytest.approx(4)
    assert features.grad[0, 0, 2:6, 1:5].sum().item() == pytest.approx(4)


def attention_inputs():
    torch.manual_seed(0)
    value = torch.randn(2, 20, 2, 4, requires_grad=True)
    locations = torch.rand(2, 3, 2, 2, 2, 2, requires_grad=True)
    weights = torch.rand(2, 3, 2, 2, 2, requires_grad=True)
    return value, torch.tensor([[4, 4], [2, 2]]), torch.tensor([0, 16]), locations, weights


def test_deformable_attention_is_mmcvs_pytorch_form(use):
    use(mmcv_ext)
    attention = sys.modules['mmcv.ops.multi_scale_deform_attn']
    value, shapes, starts, locations, weights = attention_inputs()
    leaves = (value, locations, weights)
    ours = attention.MultiScaleDeformableAttnFunction.apply(
        value, shapes, starts, locations, weights, 64
    )
    expected = attention.multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)
    gradient = torch.linspace(-1, 1, ours.numel()).view_as(ours)
    pairs = zip(*(torch.autograd.grad(output, leaves, gradient) for output in (ours, expected)))
    for gradient, other in pairs:
        assert gradient.abs().sum() > 0
        torch.testing.assert_close(gradient, other, rtol=1e-6, atol=1e-6)


def test_focal_loss_is_that_of_mmdet(use):
    use(mmcv_ext)
    torch.manual_seed(0)
    logits = torch.randn(6, 4, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 4, 4])
    one_hot = torch.nn.functional.one_hot(labels, 5)[:, :4]
    ours = mmcv.ops.sigmoid_focal_loss(logits, labels, 2.0, 0.25, None, 'mean')
    # mmcv divides by the number of samples alone.
    expected = py_sigmoid_focal_loss(logits, one_hot, reduction='sum') / 6
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (ours, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)


def test_another_operator_says_in_one_line_what_needs_it_and_how_to_build_it(use, monkeypatch):
    monkeypatch.setattr(sys.modules['mmcv.ops.deform_conv'], 'ext_module', mmcv_ext)
    layer = mmcv.ops.DeformConv2d(2, 2, 3)
    with pytest.raises(UserError) as error:
        layer(torch.randn(1, 2, 8, 8), torch.zeros(1, 18, 6, 6))
    assert str(error.value).startswith('mmcv.ops.deform_conv needs deform_conv_forward, and this')
    assert 'bash tools/setup_env.sh --ops' in str(error.value)
    use(mmcv_ext)
    with pytest.raises(UserError, match=r"^mmcv\.ops\.roi_align needs pool_mode='max'"):
        mmcv.ops.roi_align(torch.ones(1, 1, 4, 4), torch.ones(1, 5), 2, 1.0, 2, 'max', True)


def test_positions_are_not_rounded_to_bfloat16(use):
    use(mmcv_ext)
    maps, rois = torch.ones(1, 1, 4, 4).bfloat16(), torch.ones(1, 5).bfloat16()
    with pytest.raises(UserError, match=r'would round regions.*mmaddp\.SingleRoIExtractor'):
        mmcv.ops.roi_align(maps, rois, 2, 1.0, 2, 'avg', True)
    attention = sys.modules['mmcv.ops.multi_scale_deform_attn']
    value, *others = attention_inputs()
    with pytest.raises(UserError, match=r'would round sampling locations.*--amp fp16'):
        attention.MultiScaleDeformableAttnFunction.apply(value.bfloat16(), *others, 64)


@pytest.fixture
def coco_mini(shared, monkeypatch):
    """The folder, and what configs take from the environment."""
    folder = shared / 'data/coco_mini'
    categories = json.loads((folder / 'annotations/instances_val.json').read_text())['categories']
    monkeypatch.setenv('COCO_DIR', str(folder))
    monkeypatch.setenv('CLASSES', ','.join(category['name'] for category in categories))


@pytest.mark.usefixtures('coco_mini')
@pytest.mark.parametrize('bfloat16', [False, True])
def test_a_step_of_mask_rcnn_has_the_same_losses_and_gradients(bfloat16, compiled, use, repository):
    config = load(repository, MASK_RCNN)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model).train()
    loader = dict(
        dataset=dict(config.train_dataloader.dataset, indices=4),
        sampler=dict(type='DefaultSampler', shuffle=False),
        batch_size=4,
        num_workers=0,
    )
    batch = next(iter(Runner.build_dataloader(loader, seed=0)))
    batch = model.data_preprocessor(batch, training=True)
    results = []
    for extension in (compiled, mmcv_ext):
        use(extension)
        torch.manual_seed(0)
        model.zero_grad()
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=bfloat16):
            loss, losses = model.parse_losses(model(**copy.deepcopy(batch), mode='loss'))
        loss.backward()
        results.append((dict(losses), [parameter.grad for parameter in model.parameters()]))
    (expected, expected_gradients), (losses, gradients) = results
    assert min(expected[f'loss_{part}'] for part in ('rpn_cls', 'cls', 'bbox', 'mask')) > 0
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-6, atol=1e-6)


def test_extension_of_mmcv_is_preferred():
    found = PathFinder.find_spec('mmcv._ext', mmcv.__path__)
    expected = mmcv_ext.__file__ if found is None else found.origin
    program = f'import mmaddp, mmcv._ext; assert mmcv._ext.__file__ == {expected!r}'
    assert run_python(program).returncode == 0


def test_mmdet_without_operators_is_refused_once_it_is_imported():
    program = """
import sys
sys.modules['mmdet.structures'] = object()
import mmaddp
"""
    done = run_python(program)
    assert done.stderr.splitlines()[-1] == (
        'mmaddp.utils.UserError: mmdet.structures was imported before mmaddp and found no '
        'operators in mmcv: restart Python and import mmaddp first'
    )


def run_python(program):
    """Run a program in a process of its own."""
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    command = [sys.executable, '-c', program]
    return subprocess.run(command, capture_output=True, text=True, env=environment)
