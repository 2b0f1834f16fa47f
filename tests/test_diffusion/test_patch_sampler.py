"""Generation patch by patch: with and without cache, orders, and a Gaussian known in full."""

import math
from collections import deque
from types import SimpleNamespace

import pytest
import torch
from tiny_darl_generation import GRID, NUM_POSITIONS, any_order, build, diffusion, mse, of_tokens

from mmaddp.diffusion import ImageNoise, MeanSampler, PatchSampler, TokenSampler
from mmaddp.diffusion.patch_sampler import MIN_GAMMA, known_first
from mmaddp.utils import UserError

NOTHING_KNOWN = torch.ones(2, NUM_POSITIONS, dtype=torch.bool)


def patches(model, count=2, seed=0):
    """Random values of the kind that the model generates."""
    generator = torch.Generator().manual_seed(seed)
    if model.target == 'tokens':
        return torch.randint(8, (count, NUM_POSITIONS), generator=generator)
    return torch.randn(count, NUM_POSITIONS, 48, generator=generator)


def last(steps):
    return deque(steps, maxlen=1).pop()


def without_cache(model, sampler, known, masked, noise):
    """The whole sequence through the backbone for each position: what the cache must equal."""
    values, order = known.clone(), known_first(model, masked)
    asked = order if model.random_order else None
    rows = torch.arange(len(values))
    with torch.no_grad():
        for position in order[:, int((~masked[0]).sum()) :].unbind(1):
            z = model.backbone.predict_next(model.embed_values(values), GRID, asked)
            values[rows, position] = sampler.sample_next(
                model, z[rows, position], values[:, 0], noise
            )
    return values


def each_mask(left):
    """Two masks of ``left`` positions, not the same."""
    generator = torch.Generator().manual_seed(left)
    return torch.rand(2, NUM_POSITIONS, generator=generator).argsort(1) < left


CASES = [
    (diffusion(), PatchSampler(4), NOTHING_KNOWN),
    (diffusion(), PatchSampler(3, eta=0.0), torch.arange(16).expand(2, -1) >= 8),
    (diffusion(dict(order='nested-raster', block_size=2)), PatchSampler(2), NOTHING_KNOWN),
    (diffusion(dict(order='round-robin', block_size=2)), PatchSampler(2, 0.5), NOTHING_KNOWN),
    (diffusion(dict(positions='learnable')), PatchSampler(2), NOTHING_KNOWN),
    (any_order(), PatchSampler(2), NOTHING_KNOWN),
    (any_order(), PatchSampler(2), each_mask(9)),
    (mse(), MeanSampler(), NOTHING_KNOWN),
    (of_tokens(), TokenSampler(2.0, top_p=0.9), NOTHING_KNOWN),
]


@pytest.mark.parametrize(('config', 'sampler', 'masked'), CASES)
def test_the_cache_changes_nothing(config, sampler, masked):
    # Rounding grows from patch to patch, less so with small weights; tokens do not feel it.
    model = build(config, spread=0.5 if config.get('target') == 'tokens' else 0.02)
    known = patches(model)
    steps = list(sampler(model, known, masked, ImageNoise(0, range(2))))
    assert len(steps) == masked[0].sum()
    assert not steps[-1].masked.any()
    expected = without_cache(model, sampler, known, masked, ImageNoise(0, range(2)))
    assert torch.allclose(steps[-1].values, expected, atol=1e-5)
    assert torch.equal(steps[-1].values[~masked], known[~masked])
    assert not torch.equal(steps[-1].values[masked], known[masked])


def test_the_cache_changes_nothing_where_noise_is_predicted():
    """In float64: at gamma = 0.0001 a rounding is multiplied by a hundred, patch after patch."""
    model = build(diffusion(prediction='epsilon'), spread=0.02).double()
    known = patches(model).double()
    done = last(PatchSampler(4)(model, known, NOTHING_KNOWN, ImageNoise(0, range(2))))
    noise = ImageNoise(0, range(2))
    expected = without_cache(model, PatchSampler(4), known, NOTHING_KNOWN, noise)
    assert torch.allclose(done.values, expected, atol=1e-5)


def test_positions_come_in_the_order_of_the_model():
    model = build(diffusion(dict(order='round-robin', block_size=2)))
    masks = [
        step.masked.clone()
        for step in PatchSampler(1)(model, patches(model), NOTHING_KNOWN, ImageNoise(0, range(2)))
    ]
    # The top left patch of every block of 2 x 2 comes first.
    first_four = {0, 2, 8, 10}
    assert set((~masks[3][0]).nonzero().flatten().tolist()) == first_four
    assert [int(mask[1].sum()) for mask in masks] == list(range(15, -1, -1))


def test_nothing_to_generate():
    model = build(diffusion())
    known, masked = patches(model), torch.zeros_like(NOTHING_KNOWN)
    (only,) = PatchSampler(2)(model, known, masked, ImageNoise(0, range(2)))
    assert torch.equal(only.values, known)


def test_given_values_stay_with_the_caller():
    model = build(mse())
    known, masked = patches(model), NOTHING_KNOWN.clone()
    last(MeanSampler()(model, known, masked, ImageNoise(0, range(2))))
    assert torch.equal(known, patches(model))
    assert masked.all()


def test_known_positions_behind_generated_ones():
    model = build(diffusion())
    bottom = torch.arange(16).expand(2, -1) < 8
    with pytest.raises(UserError, match=r"after generated ones .*'raster'.*random_order=True"):
        last(PatchSampler(1)(model, patches(model), bottom, ImageNoise(0, range(2))))


def test_known_patches_of_any_position_are_looked_at():
    """Only a known patch at the end of the raster differs, and the first one generated with it."""
    model = build(any_order())
    masked = torch.arange(16).expand(2, -1) < 15
    known = patches(model, 1).repeat(2, 1, 1)
    known[1, 15] += 1
    first = next(PatchSampler(2)(model, known, masked, ImageNoise(0, [0, 0])))
    assert (first.values[0, 0] - first.values[1, 0]).abs().max() > 1e-3


def test_known_first_is_the_order_of_the_backbone_otherwise():
    model = build(any_order())
    masked = torch.ones(1, 16, dtype=torch.bool)
    masked[0, [3, 9]] = False
    expected = [3, 9, *(position for position in range(16) if position not in (3, 9))]
    assert known_first(model, masked).tolist() == [expected]


def test_every_predicted_patch_is_a_image():
    """White is 1 and black 0 after the mean and the std of ImageNet are undone."""
    model = build(diffusion())
    with torch.no_grad():
        model.patch_decoder.head.bias.fill_(100)
        done = last(PatchSampler(2)(model, patches(model), NOTHING_KNOWN, ImageNoise(0, [0, 1])))
        free = last(
            PatchSampler(2, clip=False)(model, patches(model), NOTHING_KNOWN, ImageNoise(0, [0, 1]))
        )
    images = model.to_unit_range(model.unpatchify(done.values, GRID))
    assert torch.allclose(images, torch.ones_like(images), atol=1e-6)
    assert free.values.min() > 50


def test_noise_that_is_predicted_begins_above_zero():
    gammas = PatchSampler(4).gammas('epsilon').tolist()
    assert gammas == [MIN_GAMMA, 0.25, 0.5, 0.75, 1.0]
    assert PatchSampler(1000).gammas('x0')[:3].tolist() == pytest.approx([0, 0.001, 0.002])


MEAN, STD, COUNT = 0.7, 0.4, 20000


class Gaussian:
    """Patches of one value from a known Gaussian; the prediction is its posterior mean."""

    random_order, prediction, target = False, 'x0', 'pixels'

    def __init__(self):
        self.backbone = SimpleNamespace(
            grid=(1, 1),
            order='raster',
            sequence_order=lambda grid: torch.arange(1),
            start_sampling=lambda batch, grid, order: SimpleNamespace(
                next_features=lambda: torch.zeros(batch, 1)
            ),
        )

    def denoise(self, z, x_s, gamma):
        gain = gamma.sqrt() * STD**2 / (gamma * STD**2 + 1 - gamma)
        return MEAN + gain * (x_s - gamma.sqrt() * MEAN)


class OneStream(ImageNoise):
    """The noise of many images by one generator, which is faster."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, like):
        return torch.randn(like.shape, generator=self.generator)


def std_after(steps, eta):
    """What S steps make of pure noise, by equations 3 and 4 or DDIM, in plain numbers.

    All is linear: x^{s-1} - its mean is a factor times x^s - its mean, and fresh noise.
    """
    variance = 1.0
    for s in range(steps, 0, -1):
        gamma, before = 1 - s / steps, 1 - (s - 1) / steps
        alpha = gamma / before
        gain = math.sqrt(gamma) * STD**2 / (gamma * STD**2 + 1 - gamma)
        if eta == 1:
            factor = math.sqrt(alpha) * (1 - before) / (1 - gamma)
            factor += math.sqrt(before) * (1 - alpha) / (1 - gamma) * gain
            fresh = (1 - alpha) * (1 - before) / (1 - gamma)
        else:
            of_epsilon = math.sqrt((1 - before) / (1 - gamma))
            factor = of_epsilon + (math.sqrt(before) - of_epsilon * math.sqrt(gamma)) * gain
            fresh = 0.0
        variance = factor**2 * variance + fresh
    return math.sqrt(variance)


@pytest.mark.parametrize('eta', [1.0, 0.0])
@pytest.mark.parametrize('steps', [3, 20, 400])
def test_a_gaussian_is_sampled(steps, eta):
    known, masked = torch.zeros(COUNT, 1, 1), torch.ones(COUNT, 1, dtype=torch.bool)
    sampler = PatchSampler(steps, eta, clip=False)
    values = last(sampler(Gaussian(), known, masked, OneStream(steps))).values
    error = STD / math.sqrt(COUNT)
    assert values.mean().item() == pytest.approx(MEAN, abs=4 * error)
    wanted = std_after(steps, eta)
    assert values.std().item() == pytest.approx(wanted, abs=4 * error)
    if steps == 400:
        assert wanted == pytest.approx(STD, rel=0.03)


def test_more_than_the_first_noise_is_random_only_with_eta():
    model = build(diffusion())
    noise = ImageNoise(0, [0])
    z, like = torch.randn(1, 32), torch.zeros(1, 48)
    with torch.no_grad():
        PatchSampler(3, eta=0.0).sample_next(model, z, like, noise)
    other = ImageNoise(0, [0])
    other.normal(like)
    assert torch.equal(noise.normal(like), other.normal(like))


def test_mse_has_one_image_only():
    model = build(mse())
    one, other = (
        last(MeanSampler()(model, patches(model), NOTHING_KNOWN, ImageNoise(seed, range(2))))
        for seed in (0, 1)
    )
    assert torch.equal(one.values, other.values)
    assert torch.allclose(one.values[0], one.values[1], atol=1e-5)


def test_temperature_and_top_p_sharpen_tokens():
    probs = torch.tensor([0.5, 0.3, 0.15, 0.05])
    model = SimpleNamespace(decode=lambda z: probs.log().expand(len(z), -1))
    z, like, noise = torch.zeros(4000, 1), torch.zeros(4000, dtype=torch.long), OneUniform()

    def shares(**settings):
        sampled = TokenSampler(**settings).sample_next(model, z, like, noise)
        return torch.bincount(sampled, minlength=4) / len(z)

    assert torch.allclose(shares(), probs, atol=0.03)
    squared = probs.square() / probs.square().sum()
    assert torch.allclose(shares(temperature=0.5), squared, atol=0.03)
    assert shares(temperature=0.0).tolist() == [1, 0, 0, 0]
    assert torch.allclose(shares(top_p=0.7), torch.tensor([0.625, 0.375, 0, 0]), atol=0.03)


class OneUniform:
    """Uniform values of a fixed generator."""

    generator = torch.Generator().manual_seed(0)

    def uniform(self, like):
        return torch.rand(like.shape, generator=self.generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: PatchSampler(steps=0), 'steps=0: must be 1 or more'),
        (lambda: PatchSampler(eta=1.5), r'eta=1.5: must be in \[0, 1\]'),
        (lambda: PatchSampler(eta=-0.1), 'eta=-0.1'),
        (lambda: PatchSampler(eta=math.nan), 'eta=nan'),
        (lambda: TokenSampler(temperature=-1.0), 'temperature=-1.0'),
        (lambda: TokenSampler(temperature=math.inf), 'temperature=inf'),
        (lambda: TokenSampler(top_p=0.0), r'top_p=0.0: must be in \(0, 1\]'),
    ],
)
def test_settings_out_of_their_range(call, message):
    with pytest.raises(UserError, match=message):
        call()
