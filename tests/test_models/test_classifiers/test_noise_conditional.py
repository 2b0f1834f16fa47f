"""Equation 5's classifier learns at all levels, is tested the same by anybody, and guides."""

import math

import pytest
import torch
from mmpretrain.structures import DataSample
from tiny_ddae import EDM, SIDE, ddae, random_images
from tiny_latents import latent_ddae, random_rgb_images
from torch import nn

from mmaddp.diffusion import DDIMSampler, HeunSampler, ImageNoise
from mmaddp.models.classifiers import GuidedSampler, NoiseConditionalHead
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

PROCESSES = {'ddpm': ddae(), 'edm': ddae(process=EDM)}
of_both = pytest.mark.parametrize('pretrainer', PROCESSES.values(), ids=PROCESSES)
SAMPLERS = {'mmaddp.DDPM': DDIMSampler(5), 'mmaddp.EDM': HeunSampler(3)}


def classifier(pretrainer=None, seed=0, **settings):
    torch.manual_seed(seed)
    settings = dict(dict(pretrainer=pretrainer or ddae(), layer='out_2', num_classes=4), **settings)
    return MODELS.build(dict(type='mmaddp.NoiseConditionalClassifier', **settings)).eval()


def labeled(labels, first=0):
    """Data samples as MMPretrain packs them."""
    return [
        DataSample(metainfo=dict(sample_idx=first + index)).set_gt_label(label)
        for index, label in enumerate(labels)
    ]


def bright_and_dark(count):
    """Images of two brightnesses, and their classes."""
    labels = [index % 2 for index in range(count)]
    values = torch.tensor(labels).view(-1, 1, 1, 1).float() - 0.5
    return values.expand(-1, 3, SIDE, SIDE), labels


@of_both
def test_the_head_alone_learns(pretrainer):
    model = classifier(pretrainer).train()
    before = {name: tensor.clone() for name, tensor in model.pretrainer.state_dict().items()}
    assert not model.network.training
    images, labels = bright_and_dark(32)
    optimizer = torch.optim.Adam(model.head.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        loss = model(images, labeled(labels), mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(4), abs=0.2)
    assert all(one.grad is None for one in model.pretrainer.parameters())
    assert all(one.grad is not None for one in model.head.parameters())
    after = model.pretrainer.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    by_level = accuracies(model, images[:16], labels[:16])
    levels = list(by_level)
    assert by_level[levels[0]] == 1
    assert by_level[levels[-1]] < 0.9


def accuracies(model, images, labels):
    samples = model(images, labeled(labels), mode='predict')
    return {
        name: sum(one.pred_label_by_name[name] == y for one, y in zip(samples, labels))
        / len(labels)
        for name in samples[0].pred_label_by_name
    }


@pytest.mark.parametrize(
    ('pretrainer', 'levels'),
    [(ddae(), [*range(1, 1000, 50)]), (ddae(process=EDM), [*range(1, 19)])],
)
def test_the_authors_levels_are_tested(pretrainer, levels):
    assert list(classifier(pretrainer).eval_levels) == levels


def test_the_noise_of_an_image_is_its_own():
    """Neither the batch nor the other levels change what an image is taken for."""
    model, images = classifier(ddae(process=EDM)), random_images(6)
    whole = model(images, labeled([0] * 6), mode='predict')
    parts = [
        *model(images[:2], labeled([0] * 2), mode='predict'),
        *model(images[2:], labeled([0] * 4, first=2), mode='predict'),
    ]
    few = classifier(ddae(process=EDM), eval_levels=[5, 11])(
        images, labeled([0] * 6), mode='predict'
    )
    for one, other, third in zip(whole, parts, few):
        assert one.pred_label_by_name == other.pred_label_by_name
        assert third.pred_label_by_name == {
            name: one.pred_label_by_name[name] for name in ('level_5', 'level_11')
        }


def test_levels_are_sampled_from_all(monkeypatch):
    """Uniformly, for EDM too: 18 numbers, 80 the largest sigma."""
    model = classifier(ddae(process=EDM))
    seen = []
    monkeypatch.setattr(model, 'classify', lambda x, level: seen.append(level) or torch.zeros(1, 4))
    model(torch.zeros(1800, 3, 1, 1), [DataSample().set_gt_label(0)], mode='loss')
    sigmas, counts = seen[0].unique(return_counts=True)
    assert (len(sigmas), sigmas.max().item()) == (18, pytest.approx(80))
    assert counts.min() > 60
    assert counts.max() < 150


def test_the_head_is_equation_5():
    """Against the formula written out: g(f + tau(t)), tau of sines and cosines of t itself."""
    torch.manual_seed(0)
    head = NoiseConditionalHead(32, 4)
    features, t = torch.randn(3, 32), torch.tensor([1.0, 500.0, 1000.0])
    angles = t[:, None] * torch.tensor([10_000 ** (-i / 3) for i in range(4)])
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    first, _, second = head.time_embed
    tau = nn.functional.silu(waves @ first.weight.T + first.bias) @ second.weight.T + second.bias
    inner, _, outer = head.mlp
    assert inner.weight.shape == (64, 32)
    hidden = nn.functional.silu((features + tau) @ inner.weight.T + inner.bias)
    expected = hidden @ outer.weight.T + outer.bias
    torch.testing.assert_close(head(features, t), expected, rtol=1e-5, atol=1e-5)


@of_both
def test_prediction_and_logits_are_of_one_pass(pretrainer):
    model, x_t = classifier(pretrainer), random_images(3)
    level = model.process.level(7)
    passes = []
    handle = model.network.conv_in.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        x_0, logits = model.denoise_and_classify(x_t, level)
        assert len(passes) == 1
        assert torch.equal(x_0, model.pretrainer.denoise(x_t, level))
        assert torch.equal(logits, model.classify(x_t, level))
    passes.clear()
    model.guidance(2, 1.0, len(x_t))(x_t, level)
    assert len(passes) == 1
    handle.remove()


@of_both
def test_guided_towards_a_class(pretrainer):
    """A step along the gradient: the classifier is surer of the class, scale 0 changes nothing."""
    model, x_t = classifier(pretrainer), random_images(4)
    level, labels = model.process.level(4), torch.tensor([0, 1, 2, 3])
    plain = model.guidance(labels, 0.0, 4)(x_t, level)
    assert torch.equal(plain, model.pretrainer.denoise(x_t, level))
    step = model.guidance(labels, 1.0, 4)(x_t, level) - plain
    step = 0.01 * step / step.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    with torch.no_grad():
        sure = [
            model.classify(x, level).log_softmax(1).gather(1, labels[:, None])
            for x in (x_t, x_t + step)
        ]
    assert (sure[1] > sure[0]).all()


@of_both
def test_samples_of_classes(pretrainer):
    model, sampler = classifier(pretrainer), SAMPLERS[pretrainer['process']['type']]
    passes = []
    model.network.conv_in.register_forward_hook(lambda *_: passes.append(1))

    def draw(labels, scale):
        return model.sample(ImageNoise(0, [0, 1]), GuidedSampler(sampler, labels, scale))

    plain = model.pretrainer.sample(ImageNoise(0, [0, 1]), sampler)
    assert torch.equal(draw(3, 0.0), plain)
    assert len(passes) == 2 * 5
    guided = draw(torch.tensor([0, 3]), 20.0)
    assert guided.shape == plain.shape
    assert torch.equal(guided[0], draw(0, 20.0)[0])
    assert not torch.allclose(guided, plain)
    assert not torch.allclose(guided[1], draw(0, 20.0)[1])
    assert all(one.grad is None for one in model.parameters())


def test_a_checkpoint_is_whole():
    """What generates needs no other file."""
    model = classifier(seed=1)
    other = classifier(seed=2)
    other.load_state_dict(model.state_dict())
    sampler = GuidedSampler(DDIMSampler(2), 1, 5.0)
    images = [one.sample(ImageNoise(0, [0]), sampler) for one in (model, other)]
    assert torch.equal(*images)


def test_the_control_is_cut_and_trained_whole():
    model = classifier(frozen=False).train()
    frozen = classifier()
    gone = {name for name in frozen.state_dict() if name not in model.state_dict()}
    assert {name.split('.')[2] for name in gone} == {'up', 'norm_out', 'conv_out'}
    model(random_images(), labeled([0, 1]), mode='loss')['loss'].backward()
    assert all(one.grad is not None for one in model.parameters())
    with pytest.raises(UserError, match='the network is truncated behind out_2 and cannot predict'):
        model.sample(ImageNoise(0, [0]), model.sampler(label=1))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(layer='out_9'), 'layers out_9: the network has out_1, out_2'),
        (dict(eval_levels=[0]), 'noise level 0: DDPM has the levels 1 to 1000'),
    ],
)
def test_what_cannot_be_built_is_told_in_a_line(settings, message):
    with pytest.raises((ValueError, UserError)) as caught:
        classifier(**settings)
    assert message in str(caught.value)


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(UserError, match=r'label=-?\d: must be in \[0, 3\]'):
        classifier().guidance(4, 1.0, 2)


def test_a_dit_over_latents():
    """Images come in and go out, the noise and the guidance are those of the latents."""
    pretrainer = latent_ddae()
    model = classifier(pretrainer, layer='layer-1')
    with torch.no_grad():
        for parameter in model.pretrainer.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    images = random_rgb_images(2)
    loss = model(images, labeled([0, 1]), mode='loss')['loss']
    loss.backward()
    assert all(one.grad is None for one in model.network.parameters())
    x_t = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        x_0, logits = model.denoise_and_classify(x_t, 5)
        assert torch.equal(x_0, model.pretrainer.denoise(x_t, 5))
        assert torch.equal(logits, model.classify(x_t, 5))
    sampler = DDIMSampler(3, clip=False)
    plain = model.pretrainer.sample(ImageNoise(0, [0]), sampler)
    assert torch.equal(model.sample(ImageNoise(0, [0]), GuidedSampler(sampler, 1, 0.0)), plain)
    guided = model.sample(ImageNoise(0, [0]), GuidedSampler(sampler, 1, 20.0))
    assert not torch.allclose(guided, plain)
    control = classifier(pretrainer, layer='layer-0', frozen=False)
    assert len(control.network.blocks) == 1
    assert control(images, labeled([0, 1]), mode='loss')['loss'].isfinite()
