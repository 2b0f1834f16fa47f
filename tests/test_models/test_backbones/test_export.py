"""Backbones of all detectors and segmentors can be traced, exported to ONNX and counted."""

import io
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData

from mmaddp.models.layers.rotary import apply_rotary, phase_factors

REPOSITORY = Path(__file__).resolve().parents[3]
SIDES = (64, 96)


def shrunk(backbone):
    """The backbone of a config with few channels, and few blocks where it counts them."""
    backbone = {key: value for key, value in backbone.items() if key not in ('init_cfg', 'process')}
    if isinstance(backbone.get('arch'), str):
        backbone['arch'] = dict(embed_dims=16, num_layers=14, num_heads=1)
    for key, indices in (('out_indices', [0, 2]), ('global_attn_indexes', [2])):
        if key in backbone:
            backbone[key] = indices
            backbone['arch'] = dict(embed_dims=16, num_layers=3, num_heads=1)
    if 'autoencoder' in backbone:
        backbone['autoencoder'] = None
    if 'channel_multipliers' in backbone:
        backbone['base_channels'] = 32
    return backbone


@cache
def backbones():
    """The distinct ones, with a config that has each."""
    found = {}
    for task in ('det', 'seg'):
        for path in sorted((REPOSITORY / 'configs' / task).rglob('*.py')):
            model = Config.fromfile(path).model
            # Probes have an encoder instead.
            if 'backbone' not in model:
                continue
            backbone = shrunk(model.backbone.to_dict())
            found.setdefault(str(backbone), (path.stem, backbone))
    return dict(found.values())


def build(name):
    init_default_scope('mmaddp')
    backbone = backbones()[name]
    torch.manual_seed(0)
    model = MODELS.build(backbone).eval()
    channels = getattr(model, 'in_channels', 3)
    return model, torch.rand(1, 4 if 'autoencoder' in backbone else channels, *SIDES)


@torch.no_grad()
def test_a_trace_computes_the_same():
    for name in backbones():
        model, images = build(name)
        traced = torch.jit.trace(model, images, check_trace=False)
        for ours, theirs in zip(model(images), traced(images)):
            torch.testing.assert_close(theirs, ours, msg=partial('{}: {}'.format, name))


def test_operations_are_counted():
    """MMDetection's get_flops.py counts in a trace; an embedding of patches tells the scale."""
    for name in backbones():
        model, images = build(name)
        counted = get_model_complexity_info(model, inputs=images, show_table=False, show_arch=False)
        assert counted['flops'] > 1e5, name


def test_a_whole_detector_is_counted_as_by_mmdetection(repository):
    name = 'configs/det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py'
    config = Config.fromfile(repository / name)
    init_default_scope(config.default_scope)
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model).eval()
    images, sample = torch.rand(3, *SIDES), DetDataSample(metainfo=dict(img_shape=SIDES))
    sample.set_metainfo(dict(scale_factor=(1, 1), ori_shape=SIDES, pad_shape=SIDES))
    sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0))
    data = model.data_preprocessor(dict(inputs=[images], data_samples=[sample]))
    model.forward = partial(model.forward, data_samples=data['data_samples'])
    counted = get_model_complexity_info(
        model, inputs=data['inputs'], show_table=False, show_arch=False
    )
    assert counted['flops'] > 1e6


@torch.no_grad()
def test_onnx_computes_the_same():
    pytest.importorskip('onnx')
    runtime = pytest.importorskip('onnxruntime')
    for name, backbone in backbones().items():
        # timm resizes positions by an operator that ONNX's older exporter lacks.
        if backbone['type'] == 'mmaddp.Encoder':
            continue
        model, images = build(name)
        file = io.BytesIO()
        torch.onnx.export(model, (images,), file, dynamo=False, opset_version=17)
        session = runtime.InferenceSession(file.getvalue(), providers=['CPUExecutionProvider'])
        maps = session.run(None, {session.get_inputs()[0].name: images.numpy()})
        for ours, theirs in zip(model(images), maps):
            torch.testing.assert_close(
                torch.from_numpy(theirs),
                ours,
                rtol=1e-3,
                atol=1e-4,
                msg=partial('{}: {}'.format, name),
            )


def test_rotary_positions_without_complex_numbers(monkeypatch):
    x, angles = torch.randn(2, 5, 8), torch.randn(5, 4)
    expected = apply_rotary(x, phase_factors(angles))
    monkeypatch.setattr(torch.onnx, 'is_in_onnx_export', lambda: True)
    phases = phase_factors(angles)
    assert not phases.is_complex()
    torch.testing.assert_close(apply_rotary(x, phases), expected)
