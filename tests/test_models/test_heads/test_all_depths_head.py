"""Heads that are trained together at all depths end as each would alone."""

import copy

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.engine import LARS
from mmpretrain.structures import DataSample
from torch import nn

import mmaddp  # noqa: F401
from mmaddp.utils import UserError

LAYERS, CLASSES, DIMS = 3, 4, 16
NECK = dict(type='mmaddp.PoolNormNeck', in_channels=DIMS, norm_cfg=dict(type='BN1d', affine=False))
HEAD = dict(
    type='LinearClsHead',
    num_classes=CLASSES,
    in_channels=DIMS,
    loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
)
ENCODERS = {'mmaddp.ADDPViT': dict(), 'mmaddp.DARLViT': dict(causal=True)}


@pytest.fixture(params=ENCODERS)
def encoder(request) -> dict:
    arch = dict(embed_dims=DIMS, num_layers=LAYERS, num_heads=2)
    sizes = dict(arch=arch, img_size=16, patch_size=4, frozen_stages=LAYERS)
    return dict(type=request.param, out_indices=range(LAYERS), **sizes, **ENCODERS[request.param])


def build(backbone: dict, neck: dict | None, head: dict) -> nn.Module:
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=backbone,
            neck=neck,
            head=head,
            data_preprocessor=dict(num_classes=CLASSES),
        )
    )
    model.init_weights()
    return model


def all_depths(encoder: dict) -> nn.Module:
    head = dict(type='mmaddp.AllDepthsHead', num_depths=LAYERS, neck=NECK, head=HEAD)
    return build(encoder, None, head)


def batches(count: int) -> list:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, CLASSES, (count, 6), generator=generator)
    images = torch.randn(count, 6, 3, 16, 16, generator=generator)
    return [
        (batch, [DataSample().set_gt_label(int(label)) for label in row])
        for batch, row in zip(images, labels)
    ]


def train(model: nn.Module, data: list) -> list[dict]:
    model.train()
    optimizer = LARS([p for p in model.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
    history = []
    for images, samples in data:
        losses = model(images, samples, mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: float(loss) for name, loss in losses.items()})
    return history


def test_trained_together_is_trained_alone(encoder):
    together = all_depths(encoder)
    starts = [copy.deepcopy(head.state_dict()) for head in together.head.heads]
    history = train(together, batches(3))
    for depth in range(LAYERS):
        alone = build({**encoder, 'out_indices': (depth,)}, NECK, HEAD)
        alone.backbone.load_state_dict(together.backbone.state_dict())
        alone.head.load_state_dict(starts[depth])
        lonely = train(alone, batches(3))
        for name, value in alone.head.state_dict().items():
            assert torch.equal(value, together.head.heads[depth].state_dict()[name])
        assert torch.equal(
            alone.neck.norm.running_mean, together.head.necks[depth].norm.running_mean
        )
        assert [step['loss'] for step in lonely] == [
            step[f'depth_{depth + 1}_loss'] for step in history
        ]


def test_the_encoder_is_left_alone(encoder):
    model = all_depths(encoder)
    before = copy.deepcopy(model.backbone.state_dict())
    train(model, batches(2))
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert not model.backbone.training or not any(
        module.training for module in model.backbone.blocks
    )
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, before[name])
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {
        f'head.heads.{depth}.fc.{leaf}' for depth in range(LAYERS) for leaf in ('weight', 'bias')
    }


def test_predictions_are_those_of_each_depth(encoder):
    model = all_depths(encoder).eval()
    images, samples = batches(1)[0]
    predicted = model(images, samples, mode='predict')
    labels = torch.tensor([list(one.pred_label_by_name.values()) for one in predicted])
    assert labels.shape == (6, LAYERS)
    for depth, feature_map in enumerate(model.backbone(images)):
        scores = model.head.heads[depth](model.head.necks[depth]((feature_map,)))
        assert torch.equal(labels[:, depth], scores.argmax(1))


def test_another_number_of_maps_is_one_line(encoder):
    head = dict(type='mmaddp.AllDepthsHead', num_depths=5, neck=NECK, head=HEAD)
    with pytest.raises(UserError, match=r'3 maps: set model.head.num_depths=3') as error:
        build(encoder, None, head)(batches(1)[0][0])
    assert '\n' not in str(error.value)
