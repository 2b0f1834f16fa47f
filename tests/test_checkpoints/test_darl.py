"""Files of DARL: every tensor is used, or dropped by a rule that says why."""

import pytest
import torch

from mmaddp.checkpoints import (
    convert_checkpoint,
    convert_file,
    read_checkpoint,
    recognize_source,
    summary_table,
)
from mmaddp.models import DARLViT
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from .layouts import equal

ARCH = {'embed_dims': 16, 'num_layers': 2, 'num_heads': 2}


def darl(**settings):
    """A tiny DARL, none of whose weights is a constant."""
    torch.manual_seed(0)
    diffusion = settings.pop('diffusion', False)
    backbone = {'type': 'mmaddp.DARLViT', 'arch': ARCH, 'img_size': 32, 'patch_size': 8}
    model = MODELS.build(
        {
            'type': 'mmaddp.DARL',
            'backbone': {**backbone, **settings},
            **({'noise': {'a': 0.03, 'b': 1.0}} if diffusion else {}),
        }
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def run_file(model, path):
    """A checkpoint as training leaves it."""
    torch.save({'meta': {'iter': 3}, 'state_dict': model.state_dict(), 'optimizer': {}}, path)
    return path


POSITIONS = ['rope-2d', 'rope-1d', 'sincos', 'learnable', 'none']


@pytest.mark.parametrize('diffusion', [False, True])
@pytest.mark.parametrize('positions', POSITIONS)
def test_a_pretraining_gives_its_backbone(positions, diffusion, tmp_path):
    model = darl(positions=positions, diffusion=diffusion)
    source = run_file(model, tmp_path / 'iter_3.pth')
    assert recognize_source(read_checkpoint(source)) == 'mmaddp'
    report = convert_file(source, tmp_path / 'backbone.pth')
    converted = torch.load(tmp_path / 'backbone.pth', weights_only=True)['state_dict']
    assert equal(converted, model.backbone.state_dict())
    total = sum(tensor.numel() for tensor in model.state_dict().values())
    assert sum(part.parameters for part in report.parts) == total
    fates = {part.name: part.fate for part in report.parts}
    assert fates == {
        'encoder': 'kept',
        'final norm': 'kept',
        'patch_decoder': 'dropped: another network has its own',
    }


def test_the_query_stream_is_dropped_and_told(tmp_path):
    model = darl(two_stream=True)
    report = convert_file(run_file(model, tmp_path / 'a.pth'), tmp_path / 'b.safetensors')
    kept = {n: t for n, t in model.backbone.state_dict().items() if 'query' not in n}
    assert equal(read_checkpoint(tmp_path / 'b.safetensors')['state_dict'], kept)
    # One token, and for each of two blocks a weight and a bias.
    row = '| query stream  | 5       | 560        | dropped: only pre-training with two streams'
    assert row in summary_table(report)
    one_stream = DARLViT(ARCH, img_size=32, patch_size=8)
    one_stream.load_state_dict(kept, strict=True)


def test_the_whole_pretraining_keeps_everything():
    model = darl(two_stream=True, diffusion=True)
    state = model.state_dict()
    assert equal(convert_checkpoint(state, target='pretrain'), state)


def test_a_converted_backbone_converts_to_itself(tmp_path):
    once = convert_checkpoint(darl().state_dict())
    assert recognize_source(once) == 'mmaddp'
    assert equal(convert_checkpoint(once), once)
    detection = DARLViT(ARCH, img_size=32, patch_size=8, with_start_token=False)
    fine_tuned = {f'backbone.{n}': t for n, t in detection.state_dict().items()}
    assert equal(convert_checkpoint(fine_tuned), detection.state_dict())


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: s.pop('backbone.blocks.1.mlp.fc1.bias'), 'missing: .*1.mlp.fc1.bias'),
        (lambda s: s.pop('backbone.norm.bias'), 'missing: backbone.norm.bias'),
        (
            lambda s: s.update({'backbone.blocks.0.extra': torch.zeros(1)}),
            'left over: .*blocks.0.extra',
        ),
        (
            lambda s: s.update({'backbone.start_token': torch.zeros(1, 1, 8)}),
            r'wrong shape: backbone.start_token is \(1, 1, 8\)',
        ),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    state = darl().state_dict()
    change(state)
    with pytest.raises(UserError, match=message):
        convert_checkpoint(state)
