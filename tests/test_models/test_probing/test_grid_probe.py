"""All heads together against each alone; what a probe saves, and what it refuses."""

import copy

import pytest
import torch
from mmengine.model import BaseModule
from mmpretrain.engine import LARS
from tiny_addp import addp
from tiny_darl import darl
from tiny_ddae import UNET, ddae, random_images
from tiny_probe import labeled, tiny_probe, train_probe
from torch import nn
from torch.nn import functional as F

from mmaddp.models import DDAE
from mmaddp.models.probing import Cell, LinearClassifier, average
from mmaddp.utils import UserError

WIDTHS = dict(channel_multipliers=(1, 2))
VIT = dict(arch=dict(embed_dims=16, num_layers=3, num_heads=2), img_size=16, patch_size=4)
VITS = [
    dict(type='mmaddp.ADDPViT', embed_norm=True, final_norm=True, **VIT),
    dict(type='mmaddp.DARLViT', causal=True, **VIT),
]
of_both_vits = pytest.mark.parametrize('vit', VITS, ids=['ADDPViT', 'DARLViT'])
# DARL's linear evaluation (appendix B.1).
LINEAR = dict(batch_norm=True, init_std=0.01, label_smoothing=0.1)


@pytest.fixture(scope='module')
def together():
    """Two widths, two levels and the pixels, trained in one run."""
    probe = tiny_probe(ddae(WIDTHS), levels=[3, 500], pixels=8)
    return train_probe(probe, random_images(6))


def vit_images():
    return torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def lars(parameters):
    return LARS(parameters, lr=0.1, momentum=0.9)


def assert_same_head(one, other, cell):
    states = [probe.heads[str(cell)].state_dict() for probe in (one, other)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    assert states[0]['linear.weight'].abs().max() > 1e-2


@pytest.mark.parametrize('cell', [Cell('out_1', 500), Cell('out_3', 3), Cell('out_4', 500)])
def test_heads_trained_together_equal_heads_trained_alone(together, cell):
    alone = tiny_probe(ddae(WIDTHS), layers=[cell.layer], levels=[cell.level])
    assert_same_head(train_probe(alone, random_images(6)), together, cell)


@of_both_vits
def test_so_do_normed_heads_of_a_plain_encoder_by_lars(vit):
    together = train_probe(tiny_probe(vit, **LINEAR), vit_images(), optimizer=lars)
    for number in range(3):
        alone = tiny_probe(
            dict(vit, out_indices=[number]), layers=[f'block_{number + 1}'], **LINEAR
        )
        train_probe(alone, vit_images(), optimizer=lars)
        assert_same_head(alone, together, Cell(f'block_{number + 1}', None))


def test_the_pixels_head_is_a_linear_layer(together):
    """Against a module of PyTorch's that is trained by itself."""
    layer = torch.nn.Linear(192, 3)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
    images, labels = random_images(6), torch.tensor([0, 1, 2, 0, 1, 2])
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(layer(images.flatten(1)), labels).backward()
        optimizer.step()
    head = together.heads['pixels']
    torch.testing.assert_close(head.linear.weight, layer.weight)
    torch.testing.assert_close(head.linear.bias, layer.bias)


def test_a_head_starts_from_the_seed_alone():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, other = LinearClassifier(16, 4, init_std=0.01), LinearClassifier(16, 4, init_std=0.01)
    assert torch.equal(one.linear.weight, other.linear.weight)
    assert one.linear.weight.std().item() == pytest.approx(0.01, rel=0.3)
    assert torch.equal(torch.get_rng_state(), state)
    assert not LinearClassifier(16, 4).linear.weight.any()
    torch.manual_seed(4)
    assert not torch.equal(LinearClassifier(16, 4, init_std=0.01).linear.weight, one.linear.weight)


def test_a_normed_head_normalizes_by_the_batch():
    head, features = (
        LinearClassifier(4, 2, batch_norm=True, init_std=1.0),
        torch.randn(5, 4) * 7 + 2,
    )
    std, mean = torch.std_mean(features, 0, correction=0)
    torch.testing.assert_close(head(features), (features - mean) / std @ head.linear.weight.T)
    assert {name for name, _ in head.named_parameters()} == {'linear.weight', 'linear.bias'}


def test_labels_are_smoothed():
    images, samples = vit_images(), labeled(6)
    probe = tiny_probe(VITS[1], layers=['block_2'], **LINEAR)
    loss = probe(images, samples, mode='loss')['loss']
    scores = probe.heads['block_2'](probe.features(images)[Cell('block_2', None)])
    target = torch.full((6, 3), 0.1 / 3) + 0.9 * F.one_hot(torch.tensor([0, 1, 2, 0, 1, 2]), 3)
    torch.testing.assert_close(loss, -(target * scores.log_softmax(1)).sum(1).mean())


def test_each_level_is_one_pass_and_all_have_the_same_noise():
    probe = tiny_probe(ddae(), levels=[1, 11, 500])
    calls = []
    network = probe.encoder.encoder_module
    network.conv_in.register_forward_pre_hook(lambda module, args: calls.append(args[0]))
    images = random_images()
    probe.features(images)
    assert len(calls) == 3
    alphas = probe.encoder.process.alpha_bars[[1, 11, 500]].float()
    noises = [(x - a.sqrt() * images) / (1 - a).sqrt() for x, a in zip(calls, alphas)]
    for noise in noises[1:]:
        torch.testing.assert_close(noise, noises[0], rtol=0, atol=1e-3)


def test_evaluation_is_the_same_each_time_and_training_is_not():
    probe, images = tiny_probe(ddae(), levels=[500]), random_images()
    cell = Cell('out_1', 500)
    assert not torch.equal(probe.features(images)[cell], probe.features(images)[cell])
    together = probe.features(images, range(len(images)))[cell]
    alone = probe.features(images[1:2], [1])[cell]
    torch.testing.assert_close(together[1:2], alone)


@pytest.mark.parametrize('encoder', [addp(), darl(), VITS[0]], ids=['ADDP', 'DARL', 'ADDPViT'])
def test_a_checkpoint_has_the_heads_alone(encoder):
    probe = tiny_probe(encoder, batch_norm=True)
    assert {name.split('.')[0] for name in probe.state_dict()} == {'heads'}
    other = tiny_probe(encoder, seed=1, batch_norm=True)
    assert not other.load_state_dict(probe.state_dict(), strict=True).missing_keys
    assert not set(other._ddp_params_and_buffers_to_ignore) & set(probe.state_dict())


def test_the_encoder_is_left_alone(together):
    trained = {n for n, p in together.named_parameters() if p.requires_grad}
    assert trained == set(together.state_dict())
    assert not any(module.training for module in together.encoder.modules())
    assert all(parameter.grad is None for parameter in together.encoder.parameters())
    fresh = tiny_probe(ddae(WIDTHS), levels=[3, 500], pixels=8).encoder.encoder_module
    for name, value in together.encoder.encoder_module.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name])


def test_predictions_are_of_the_head_of_their_name(together):
    images, probe = random_images(6), copy.deepcopy(together).eval()
    samples = probe(images, labeled(6), mode='predict')
    features = probe.features(images, range(6))
    assert list(samples[0].pred_label_by_name) == [str(cell) for cell in probe.cells]
    for cell in probe.cells:
        predicted = torch.tensor([sample.pred_label_by_name[str(cell)] for sample in samples])
        assert torch.equal(predicted, probe.heads[str(cell)](features[cell]).argmax(1))


def test_clean_images_need_no_levels():
    probe = tiny_probe(darl(), batch_norm=True)
    assert [str(cell) for cell in probe.cells] == ['block_1', 'block_2']
    assert probe.features(torch.randn(2, 3, 16, 16))[Cell('block_1', None)].shape == (2, 16)


@of_both_vits
def test_a_plain_encoder_gives_its_own_maps(vit):
    probe, images = tiny_probe(vit), vit_images()
    assert probe.data_preprocessor.mean.flatten().tolist() == pytest.approx(
        [123.675, 116.28, 103.53]
    )
    maps = probe.encoder.encoder_module.forward_intermediates(images)
    for layer, features in probe.features(images).items():
        assert torch.equal(features, maps[layer.layer].mean((2, 3)))


def test_a_denoising_backbone_has_its_own_time():
    backbone = dict(UNET, out_blocks=['out_4'], time=0.011)
    probe, images = tiny_probe(backbone, layers=['out_2']), random_images()
    expected = probe.encoder.encoder_module.forward_intermediates(images, ['out_2'], 0.011)
    features = probe.features(images)[Cell('out_2', None)]
    torch.testing.assert_close(features, expected['out_2'].mean((2, 3)))
    assert probe.encoder.time(None) == 0.011


def test_maps_are_averaged_over_positions():
    maps = torch.arange(24.0).view(1, 2, 3, 4)
    assert torch.equal(average(maps), torch.tensor([[5.5, 17.5]]))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(levels=[1], layers=['out_7']), 'out_7: the network has out_1, out_2, out_3, out_4'),
        (dict(levels=[0]), 'noise level 0: DDAE has the levels 1 to 1000'),
        (dict(), 'noise level None: DDAE has the levels 1 to 1000'),
    ],
)
def test_grids_that_do_not_exist_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        tiny_probe(ddae(), **settings)


def test_repeated_levels_count_once():
    assert tiny_probe(ddae(), levels=[1, 1]).levels == [1]


def test_a_level_of_clean_images_is_refused():
    with pytest.raises(UserError, match='noise level 3: ADDPViT has no noise levels'):
        tiny_probe(VITS[0], levels=[3])


class LatentDDAE(DDAE):
    """A method from outside that sees images through a frozen part of its own."""

    def __init__(self, codec, **settings):
        super().__init__(**settings)
        self.codec = BaseModule(codec)
        self.codec.conv = nn.Conv2d(3, 3, 1)
        self.freeze('codec')

    def encoder_inputs(self, images):
        return self.codec.conv(images)


def test_the_frozen_part_in_front_of_the_encoder_is_loaded_too():
    codec = dict(type='Constant', layer='Conv2d', val=0.5, bias=0.25)
    probe = tiny_probe(dict(ddae(), type=LatentDDAE, codec=codec), levels=[1])
    probe._is_init = False
    probe.init_weights()
    assert probe.encoder.codec.conv.weight.unique().tolist() == [0.5]
    assert probe.encoder.codec.conv.bias.unique().tolist() == [0.25]
    probe = tiny_probe(dict(ddae(), type=LatentDDAE, codec=None), levels=[1])
    probe._is_init = False
    with pytest.raises(UserError, match=r'model\.encoder\.codec\.init_cfg is not set'):
        probe.init_weights()


def test_a_tokenizer_that_the_encoder_does_not_use_is_not_loaded():
    probe = tiny_probe(addp())
    probe._is_init = False
    probe.init_weights()
    assert not probe.encoder.tokenizer.is_init
