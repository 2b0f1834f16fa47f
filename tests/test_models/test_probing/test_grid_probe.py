"""All heads together against each alone; what a probe saves, and what it refuses."""

import pytest
import torch
from tiny_darl import darl
from tiny_ddae import ddae, random_images
from tiny_probe import labeled, tiny_probe, train_probe
from torch.nn import functional as F

from mmaddp.models.probing import Cell, LinearHeads

WIDTHS = dict(channel_multipliers=(1, 2))


@pytest.fixture(scope='module')
def together():
    """Two widths, two levels and the pixels, trained in one run."""
    probe = tiny_probe(ddae(WIDTHS), levels=[3, 500], pixels=8)
    return train_probe(probe, random_images(6))


def head(probe, cell):
    """Weight and bias of a cell's classifier."""
    width = probe.channels(cell)
    place = probe.cells_by_width()[width].index(cell)
    heads = probe.heads[str(width)]
    return heads.weight[place], heads.bias[place]


@pytest.mark.parametrize('cell', [Cell('out_1', 500), Cell('out_3', 3), Cell('out_4', 500)])
def test_heads_trained_together_equal_heads_trained_alone(together, cell):
    alone = tiny_probe(ddae(WIDTHS), layers=[cell.layer], levels=[cell.level])
    train_probe(alone, random_images(6))
    for one, other in zip(head(together, cell), head(alone, cell)):
        assert one.abs().max() > 1e-2
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_head_is_a_linear_layer_of_pytorchs(together):
    """The pixels' head, against a module of PyTorch's that is trained by itself."""
    layer = torch.nn.Linear(192, 3)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
    images, labels = random_images(6), torch.tensor([0, 1, 2, 0, 1, 2])
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(layer(images.flatten(1)), labels).backward()
        optimizer.step()
    weight, bias = head(together, Cell('pixels', None))
    torch.testing.assert_close(weight.T, layer.weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(bias[0], layer.bias, rtol=1e-4, atol=1e-5)


def test_normed_heads_are_those_of_single_norms():
    heads, features = LinearHeads(3, 4, 2, batch_norm=True), torch.randn(3, 5, 4) * 7 + 2
    torch.nn.init.normal_(heads.weight)
    single = torch.nn.BatchNorm1d(4, affine=False, eps=1e-6)
    expected = single(features[1]) @ heads.weight[1]
    torch.testing.assert_close(heads(features)[1], expected)


def test_each_level_is_one_pass_and_all_have_the_same_noise():
    probe = tiny_probe(ddae(), levels=[1, 11, 500])
    calls = []
    network = probe.encoder.backbone
    network.conv_in.register_forward_pre_hook(lambda module, args: calls.append(args[0]))
    images = random_images()
    probe.features(images)
    assert len(calls) == 3
    alphas = probe.encoder.model.process.alpha_bars[[1, 11, 500]].float()
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


def test_a_checkpoint_has_the_heads_alone(together):
    assert {name.split('.')[0] for name in together.state_dict()} == {'heads'}
    trained = {n for n, p in together.named_parameters() if p.requires_grad}
    assert trained == set(together.state_dict())
    assert not together.encoder.training
    other = tiny_probe(ddae(WIDTHS), levels=[3, 500], pixels=8)
    assert not other.load_state_dict(together.state_dict()).missing_keys


def test_predictions_are_of_the_head_of_their_name(together):
    images = random_images(6)
    together.eval()
    samples = together(images, labeled(6), mode='predict')
    features = together.features(images, range(6))
    for cell in together.cells:
        predicted = torch.tensor([sample.pred_label_by_name[str(cell)] for sample in samples])
        weight, bias = head(together, cell)
        expected = (features[cell] @ weight + bias).argmax(1)
        assert torch.equal(predicted, expected)
    together.train()


def test_clean_images_need_no_levels():
    probe = tiny_probe(darl(), batch_norm=True)
    assert [str(cell) for cell in probe.cells] == ['block_1', 'block_2']
    assert probe.features(torch.randn(2, 3, 16, 16))[Cell('block_1', None)].shape == (2, 16)


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        (dict(levels=[1], layers=['out_7']), 'out_7: this DDAE has out_1, out_2, out_3, out_4'),
        (dict(levels=[0]), 'noise level 0: this DDAE has the levels 1 to 1000'),
        (dict(), 'levels=None: DDAE is probed at noise levels'),
        (dict(levels=[1, 1]), r'levels=\[1, 1\]: name each of them once'),
    ],
)
def test_grids_that_do_not_exist_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        tiny_probe(ddae(), **settings)
