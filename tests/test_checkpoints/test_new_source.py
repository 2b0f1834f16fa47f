"""A layout from outside the package: one registered source, and files of it are taken anywhere."""

import sys
from functools import partial
from pathlib import Path

import pytest
import timm
import torch

import mmaddp
from mmaddp.checkpoints import (
    SOURCES,
    Source,
    convert_checkpoint,
    convert_file,
    drop,
    keep,
    read_checkpoint,
    recognize_source,
    register_source,
    summary_table,
)
from mmaddp.models import ADDPViT
from mmaddp.utils import UserError

from .layouts import mae_shapes, random_weights

ARCH = {'embed_dims': 32, 'num_layers': 2, 'num_heads': 2}
PRE_TRAINING = 'only pre-training masks'


def scaled(gamma, tensor):
    """Layer scale multiplied into the layer in front of it, weight (C, D) or bias (C,)."""
    return (gamma * tensor.T).T


def layer_scale(tensors):
    """timm's names with layer scale, as DINOv2 has it, for an encoder without."""
    folded = [
        keep(f'blocks.{i}.{layer}.{{rest}}', transform=partial(scaled, gamma), note='scaled')
        for i in range(2)
        for layer, number in (('attn.proj', 1), ('mlp.fc2', 2))
        for gamma in [tensors[f'blocks.{i}.ls{number}.gamma']]
    ]
    return [
        *folded,
        drop('blocks.{i}.ls{n}.gamma', 'layer scale', 'multiplied into the layer in front'),
        drop('mask_token', 'decoder', PRE_TRAINING),
        drop('head.{rest}', 'head', 'another task has another head'),
        keep('norm.{rest}', part='final norm'),
        keep('{rest}'),
    ]


@pytest.fixture
def dinov2(monkeypatch):
    """The source, until the test ends."""
    before = dict(SOURCES)
    yield register_source(
        Source(
            'dinov2', marks=[{'cls_token', 'blocks.0.ls1.gamma'}], tables={'backbone': layer_scale}
        )
    )
    SOURCES.clear()
    SOURCES.update(before)


@pytest.fixture
def reference():
    torch.manual_seed(0)
    model = timm.models.VisionTransformer(
        img_size=64, embed_dim=32, depth=2, num_heads=2, num_classes=5, init_values=0.1
    ).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def state_of(reference):
    return {**reference.state_dict(), 'mask_token': torch.zeros(1, 32)}


def test_one_source_makes_a_layout_known(reference, dinov2, tmp_path):
    torch.save(state_of(reference), tmp_path / 'dinov2.pth')
    assert recognize_source(state_of(reference)) == 'dinov2'
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'dinov2.pth'))
    encoder = ADDPViT(ARCH, img_size=64, embed_norm=False, init_cfg=pretrained).eval()
    encoder.init_weights()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens, expected = encoder.forward_tokens(images), reference.forward_features(images)
    torch.testing.assert_close(tokens, expected, rtol=1e-4, atol=1e-5)
    report = convert_file(tmp_path / 'dinov2.pth', tmp_path / 'backbone.safetensors')
    assert sum(part.tensors for part in report.parts) == len(state_of(reference))
    assert 'kept: scaled' in summary_table(report)
    converted = read_checkpoint(tmp_path / 'backbone.safetensors')
    assert recognize_source(converted) == 'mmaddp'
    assert converted['meta']['mmaddp']['source'] == 'dinov2'


def test_without_it_the_layer_scale_stays_a_parameter(reference):
    state = convert_checkpoint(state_of(reference))
    gamma = reference.state_dict()['blocks.1.ls2.gamma']
    assert torch.equal(state['blocks.1.ls2.gamma'], gamma)


def test_what_a_file_of_it_lacks_is_named(reference, dinov2):
    state = state_of(reference)
    del state['blocks.1.mlp.fc2.bias']
    with pytest.raises(
        UserError, match=r"'dinov2' to 'backbone': missing: blocks\.1\.mlp\.fc2\.bi"
    ):
        convert_checkpoint(state)


def files_run(call):
    """The package's files that execute anything during a call."""
    root, found = Path(mmaddp.__file__).parent, set()

    def trace(frame, event, _):
        path = Path(frame.f_code.co_filename)
        if root in path.parents:
            found.add(path.relative_to(root).as_posix())

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return found


def test_six_files_stand_between_init_cfg_and_the_weights(tmp_path):
    torch.save({'model': random_weights(mae_shapes())}, tmp_path / 'mae.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'mae.pth'))
    encoder = ADDPViT(ARCH, img_size=64, embed_norm=False, final_norm=False, init_cfg=pretrained)
    own = ('models/backbones/', 'models/layers/')
    found = files_run(encoder.init_weights)
    # Besides what refuses a wrong value and resolves a name of the zoo.
    ran = {path for path in found if not path.startswith(own)} - {'utils.py', 'zoo/__init__.py'}
    files = ('convert', 'reader', 'weights', 'rules', 'judge', 'sources/vits')
    assert ran <= {f'checkpoints/{name}.py' for name in files}
