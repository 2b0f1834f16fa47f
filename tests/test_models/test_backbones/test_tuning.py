"""Frozen encoders and low-rank adapters."""

from __future__ import annotations

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.runner.checkpoint import get_state_dict
from torch import nn

from mmaddp.engine.runner.weights import check_weights
from mmaddp.models import ADDPViT, DARLViT, DDAEDiT, DDAEUNet, Encoder
from mmaddp.models.layers.lora import LoRALinear, lora_layers
from mmaddp.utils import UserError

TINY = dict(embed_dims=16, num_layers=2, num_heads=2)
UNET = dict(base_channels=32, channel_multipliers=(1, 1), attention_stages=(1,), num_blocks=1)
ENCODERS = {
    'addp': lambda **tuning: ADDPViT(TINY, img_size=32, drop_path_rate=0.5, **tuning),
    'darl': lambda **tuning: DARLViT(TINY, img_size=32, drop_path_rate=0.5, **tuning),
    'dit': lambda **tuning: DDAEDiT(
        TINY, input_size=8, in_channels=3, out_blocks=['layer-1'], time=3, **tuning
    ),
    'unet': lambda **tuning: DDAEUNet(**UNET, out_blocks=['out_3'], time=0.1, **tuning),
    # EVA's attention reads the weights of its projections and never calls them; so does Swin v2's.
    'eva': lambda **tuning: Encoder(
        'timm:eva02_tiny_patch14_224',
        arguments=dict(depth=2, embed_dim=24, num_heads=2, img_size=28),
        **tuning,
    ),
    # Hierarchical, and norms with statistics.
    'resnet': lambda **tuning: Encoder('timm:resnet10t', **tuning),
}
ATTENDING = [name for name in ENCODERS if name != 'resnet']


class Classifier(nn.Module):
    """Whatever has a backbone and a head."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(16, 2)


def images_for(name):
    return torch.randn(
        2, 3, *((8, 8) if name == 'dit' else (28, 28) if name == 'eva' else (32, 32))
    )


def learned_by_layer_decay(model):
    optimizer = dict(
        optimizer=dict(type='AdamW', lr=1.0),
        constructor='mmaddp.LayerDecayOptimWrapperConstructor',
        paramwise_cfg=dict(layer_decay_rate=0.5),
    )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = build_optim_wrapper(model, optimizer).optimizer.param_groups
    return {names[id(p)]: group['lr'] for group in groups for p in group['params']}


@pytest.mark.parametrize('name', ENCODERS)
def test_a_frozen_encoder_learns_nothing_and_keeps_nothing(name):
    encoder = ENCODERS[name](frozen=True).train()
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    images = images_for(name).requires_grad_()
    maps, again = encoder(images), encoder(images)
    assert not any(one.requires_grad for one in maps)
    # Evaluation mode: no stochastic depth, and norms keep their statistics.
    assert all(torch.equal(one, other) for one, other in zip(maps, again))
    assert all(torch.equal(before[key], tensor) for key, tensor in encoder.state_dict().items())
    assert set(learned_by_layer_decay(Classifier(encoder))) == {'head.weight', 'head.bias'}


@pytest.mark.parametrize('name', ATTENDING)
def test_adapters_begin_as_nothing_and_merge_exactly(name):
    torch.manual_seed(0)
    whole = ENCODERS[name]().eval()
    adapted = ENCODERS[name](lora=dict(rank=2, alpha=4)).eval()
    with adapted.base_alone():
        adapted.load_state_dict(whole.state_dict())
    images = images_for(name)
    for one, other in zip(adapted(images), whole(images)):
        torch.testing.assert_close(one, other)
    for layer in lora_layers(adapted):
        nn.init.normal_(layer.lora_B, std=0.1)
    maps = adapted(images)
    sum(one.square().sum() for one in maps).backward()
    learned = {key for key, p in adapted.named_parameters() if p.requires_grad}
    assert {key.rpartition('.')[2] for key in learned} == {'lora_A', 'lora_B'}
    # Each adapter has an effect.
    assert all(p.grad.abs().max() > 0 for p in adapted.parameters() if p.requires_grad)
    adapted.merge_lora()
    assert list(adapted.state_dict()) == list(whole.state_dict())
    for one, merged, other in zip(maps, adapted(images), whole(images)):
        torch.testing.assert_close(merged, one, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(merged, other, atol=1e-3)


def test_an_adapted_layer_computes_equation_3():
    layer = nn.Linear(3, 2)
    layer.weight.data = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    layer.bias.data = torch.tensor([10.0, 20.0])
    LoRALinear.adapt(layer, rank=1, scale=0.5)
    layer.lora_A.data, layer.lora_B.data = (
        torch.tensor([[1.0, 2.0, 3.0]]),
        torch.tensor([[4.0], [6.0]]),
    )
    # W x + b = (14, 22); A x = 9; 0.5 * B * 9 = (18, 27)
    x = torch.tensor([2.0, 2.0, 1.0])
    assert layer(x).tolist() == [14 + 18.0, 22 + 27.0]
    assert layer.weight.tolist() == [[3.0, 4.0, 8.0], [3.0, 7.0, 9.0]]


def test_adapters_learn_at_the_rate_of_their_depth():
    found = learned_by_layer_decay(Classifier(ENCODERS['addp'](lora=dict(rank=2))))
    # Two blocks, and the head behind them.
    assert found['backbone.blocks.0.attn.qkv.lora_A'] == 0.5**2
    assert found['backbone.blocks.1.attn.proj.lora_B'] == 0.5
    assert found['head.weight'] == 1
    found = learned_by_layer_decay(Classifier(ENCODERS['eva'](lora=dict(rank=2))))
    rates = {rate for name, rate in found.items() if 'lora' in name}
    assert rates == {0.5**2, 0.5}


def test_stages_that_are_frozen_or_unused_have_no_adapters():
    encoder = ADDPViT(
        dict(TINY, num_layers=3), img_size=32, frozen_stages=1, out_indices=[1], lora=dict(rank=1)
    )
    assert {name.split('.')[1] for name in encoder.state_dict() if 'lora_A' in name} == {'1'}


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    """Two files of weights."""
    paths = [tmp_path_factory.mktemp('base') / f'{number}.pth' for number in range(2)]
    for path in paths:
        encoder = ADDPViT(TINY, img_size=32)
        encoder.init_weights()
        torch.save({'state_dict': encoder.state_dict()}, path)
    return [str(path) for path in paths]


def adapted_vit(path=None, img_size=64, **lora):
    init_cfg = path and dict(type='Pretrained', checkpoint=path)
    # Positions of another grid are resized.
    return ADDPViT(TINY, img_size=img_size, lora=dict(rank=2, **lora), init_cfg=init_cfg)


def test_a_file_of_adapters_needs_the_weights_that_they_were_trained_with(base):
    trained = adapted_vit(base[0])
    trained.init_weights()
    for layer in lora_layers(trained):
        nn.init.normal_(layer.lora_B)
    model = Classifier(trained).eval()
    # MMEngine has a function of its own for what a checkpoint holds.
    state = get_state_dict(model)
    assert set(state) == set(model.state_dict())
    assert {name.rpartition('.')[2] for name in state if name.startswith('backbone')} == {
        'lora_A',
        'lora_B',
        'lora_base',
        'lora_scale',
    }
    # A test initializes no weights: loading the adapters does.
    other = Classifier(adapted_vit(base[0])).eval()
    other.load_state_dict(state)
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(other.backbone(images), model.backbone(images))
    wrong = Classifier(adapted_vit(base[1]))
    with pytest.raises(UserError, match=rf'other weights than .*{base[1]}.* of \d+ tensors differ'):
        wrong.load_state_dict(state)
    with pytest.raises(UserError, match=r'alpha / rank = 1, the config has 4: set lora.alpha=2'):
        Classifier(adapted_vit(base[0], alpha=8)).load_state_dict(state)


def test_whole_weights_and_adapters_are_told_apart(base, tmp_path):
    adapted, whole = Classifier(adapted_vit(base[0])), Classifier(ADDPViT(TINY, img_size=64))
    with pytest.raises(UserError, match=r'set model\.backbone.lora\.rank=2 as in the training'):
        check_weights(whole, adapted.state_dict(), 'x.pth', complete=True)
    with pytest.raises(UserError, match=r'name the file in model\.backbone\.init_cfg'):
        check_weights(adapted, whole.state_dict(), 'x.pth', complete=False)
    check_weights(adapted, adapted.state_dict(), 'x.pth', complete=True)
    torch.save({'state_dict': adapted.state_dict()}, tmp_path / 'adapters.pth')
    with pytest.raises(UserError, match='merge them first'):
        whole.backbone.load(tmp_path / 'adapters.pth')


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: ENCODERS['addp'](frozen=True, lora=dict(rank=2)), 'frozen=True'),
        (lambda: ENCODERS['resnet'](lora=dict(rank=2)), 'no linear attention projections'),
        (lambda: ENCODERS['addp'](lora=dict(rank=0)), 'lora.rank=0'),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
