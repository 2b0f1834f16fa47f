"""Algorithm 2: which tokens are sampled, which are kept, and how many positions stay masked."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_generation import random_ids, random_mask, tiny_generator

from mmaddp.diffusion import MAPPINGS, ADDPSampler, ImageNoise
from mmaddp.diffusion.addp_sampler import confidence
from mmaddp.diffusion.token_sampling import nucleus, sample_codes
from mmaddp.utils import UserError


class FixedModel:
    """Predicts the same distributions whatever it sees."""

    def __init__(self, probs: torch.Tensor) -> None:
        self.probs = probs
        self.map_probs = MAPPINGS['WeightedSum']

    def code_probs(self, features, ids, mask):
        return self.probs.expand(len(ids), -1, -1)

    def encode(self, images, ids, mask):
        return images

    def synthesize(self, ids, mask, probs):
        return torch.zeros(len(ids), 3, 1, 1)


@pytest.fixture(scope='module')
def model():
    return tiny_generator()


def run(model, sampler, mask=None, ids=None, seed=0):
    ids = torch.zeros(2, 16, dtype=torch.long) if ids is None else ids
    mask = torch.ones(len(ids), 16, dtype=torch.bool) if mask is None else mask
    return list(sampler(model, ids, mask, ImageNoise(seed, range(len(ids)))))


@pytest.mark.parametrize(
    ('schedule', 'steps', 'left'),
    [
        ('linear', 8, [14, 12, 10, 8, 6, 4, 2, 0]),
        ('linear', 3, [11, 6, 0]),
        ('cosine', 4, [15, 12, 7, 0]),
        ('cosine', 3, [14, 8, 0]),
        ('linear', 1, [0]),
        ('linear', 16, list(range(15, -1, -1))),
    ],
)
def test_positions_left_masked_after_each_step(schedule, steps, left):
    done = run(FixedModel(torch.full((1, 16, 4), 0.25)), ADDPSampler(steps, schedule))
    assert [step.m_t.sum(1).tolist() for step in done] == [[n, n] for n in left]


@given(positions=st.integers(1, 1024), data=st.data())
def test_linear_counts_are_exact(positions, data):
    steps = data.draw(st.integers(1, positions))
    sampler = ADDPSampler(steps, 'linear')
    for step in range(steps):
        exact = math.ceil(positions * Fraction(steps - 1 - step, steps))
        assert sampler.num_left(step, positions) == exact


@given(
    positions=st.integers(1, 1024), data=st.data(), schedule=st.sampled_from(['linear', 'cosine'])
)
def test_counts_fall_to_none(positions, data, schedule):
    steps = data.draw(st.integers(1, positions))
    left = [ADDPSampler(steps, schedule).num_left(step, positions) for step in range(steps)]
    assert left == sorted(left, reverse=True)
    assert left[0] <= positions
    assert left[-1] == 0


def test_the_defaults_are_the_released_commands():
    """generate_addp_base_steps20.sh, and the defaults of the authors' main_generate.py."""
    assert ADDPSampler() == ADDPSampler(20, 'cosine', temperature=6.0, decaying=True, top_p=1.0)


def test_reliable_tokens_stay_as_they_are(model):
    before = None
    for step in run(model, ADDPSampler(8, 'cosine')):
        if before is not None:
            assert not (step.m_t & ~before.m_t).any()
            assert torch.equal(step.z_t[~before.m_t], before.z_t[~before.m_t])
        before = step


@settings(max_examples=5)
@given(masked=st.integers(1, 15), data=st.data())
def test_known_tokens_are_kept(model, masked, data):
    sampler = ADDPSampler(data.draw(st.integers(1, masked)), temperature=60.0, decaying=False)
    ids, mask = random_ids(seed=masked), random_mask(masked)
    last = run(model, sampler, mask, ids)[-1]
    assert torch.equal(last.z_t[~mask], ids[~mask])
    assert not last.m_t.any()
    whole = model.tokenizer.decode(model.tokenizer.embed(last.z_t))
    assert torch.allclose(last.x_t, whole, atol=1e-5)


def test_known_tokens_decide_the_first_draw(model):
    """Nothing but the known tokens differs between the two images."""
    mask = torch.arange(16).expand(2, -1) >= 12
    ids = random_ids(2)
    sampler = ADDPSampler(1, top_p=1e-6)
    noise = ImageNoise(0, [0, 0])
    logits = model.decode(None, ids, torch.ones_like(mask))
    blind = logits[..., :32].argmax(-1)
    (seen,) = sampler(model, ids, mask, noise)
    assert not torch.equal(seen.z_t[mask], blind[mask])


def test_all_known_is_the_reconstruction(model):
    ids = random_ids()
    (only,) = run(model, ADDPSampler(20), torch.zeros(2, 16, dtype=torch.bool), ids)
    assert torch.equal(only.z_t, ids)
    assert torch.equal(only.x_t, model.tokenizer.decode(model.tokenizer.embed(ids)))


def test_codes_are_sampled_by_their_probability():
    probs = torch.tensor([0.5, 0.3, 0.15, 0.05])
    positions = 40_000
    fixed = FixedModel(probs.expand(1, positions, -1))
    mask = torch.ones(1, positions, dtype=torch.bool)
    (step,) = ADDPSampler(1)(fixed, torch.zeros(1, positions).long(), mask, ImageNoise(5, [0]))
    shares = step.z_t.flatten().bincount(minlength=4) / positions
    assert torch.allclose(shares, probs, atol=0.01)


def test_without_temperature_the_most_probable_come_first():
    best = torch.tensor([0.4, 0.9, 0.65, 0.8, 0.55, 0.7])
    fixed = FixedModel(torch.stack([1 - best, best], -1)[None])
    ids, mask = torch.zeros(1, 6).long(), torch.ones(1, 6, dtype=torch.bool)
    sampler = ADDPSampler(6, 'linear', temperature=0.0, top_p=0.01)
    steps = list(sampler(fixed, ids, mask, ImageNoise(0, [0])))
    revealed = [int((~step.m_t).sum()) for step in steps]
    assert revealed == [1, 2, 3, 4, 5, 6]
    shown = [set((~step.m_t[0]).nonzero().flatten().tolist()) for step in steps]
    assert shown[:3] == [{1}, {1, 3}, {1, 3, 5}]
    assert steps[-1].z_t.tolist() == [[0, 1, 1, 1, 1, 1]]


def test_temperature_shuffles_the_order():
    """At a high temperature every position is as likely to be first, whatever its probability."""
    best = torch.tensor([0.9, 0.5, 0.3, 0.1])
    fixed = FixedModel(torch.stack([1 - best, best], -1)[None])
    batch = 4000
    ids, mask = torch.zeros(batch, 4).long(), torch.ones(batch, 4, dtype=torch.bool)
    sampler = ADDPSampler(4, 'linear', temperature=1e6, decaying=False)
    first = next(sampler(fixed, ids, mask, ImageNoise(0, range(batch))))
    assert torch.allclose((~first.m_t).double().mean(0), torch.full((4,), 0.25).double(), atol=0.03)


@pytest.mark.parametrize(
    ('top_p', 'kept'),
    [
        (1.0, [True, True, True, True]),
        (0.9, [True, True, True, True]),
        (0.875, [True, True, True, False]),
        (0.75, [False, True, True, False]),
        (0.5, [False, True, False, False]),
        (0.1, [False, True, False, False]),
    ],
)
def test_nucleus(top_p, kept):
    probs = torch.tensor([0.125, 0.5, 0.25, 0.125])
    assert torch.equal(nucleus(probs, top_p), probs * torch.tensor(kept))


def test_samples_invert_the_distribution():
    """Evenly spaced heights hit every code as often as its probability says, and no other."""
    probs = torch.tensor([0.0, 0.25, 0.0, 0.125, 0.625, 0.0])
    heights = (torch.arange(800, dtype=torch.float64) + 0.5) / 800
    sampled = sample_codes(probs.expand(1, 800, -1), heights[None])
    assert sampled.flatten().bincount(minlength=6).tolist() == [0, 200, 0, 100, 500, 0]
    ends = torch.tensor([[0.0, 1 - 2.0**-53]], dtype=torch.float64)
    assert sample_codes(probs.expand(1, 2, -1), ends).tolist() == [[1, 4]]


def test_confidence_in_closed_form():
    probs = torch.tensor([[[0.25, 0.75], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]])
    sampled = torch.tensor([[1, 0, 0, 0]])
    known = torch.tensor([[True, True, True, False]])
    # The Gumbel distribution's quantiles: -log(-log u).
    uniform = torch.tensor([[math.exp(-1), math.exp(-math.e), 0.0, 0.5]], dtype=torch.float64)
    scores = confidence(probs, sampled, known, 2.0, uniform)[0]
    expected = [math.log(0.75), math.log(0.5) - 2.0]
    assert scores[:2].tolist() == pytest.approx(expected)
    assert scores[2].isfinite()
    assert scores[3] == math.inf


def test_temperatures_of_table_11():
    assert [ADDPSampler(4).tau(step) for step in range(4)] == [4.5, 3.0, 1.5, 0.0]
    assert [ADDPSampler(2, temperature=2.0, decaying=False).tau(step) for step in range(2)] == [
        2,
        2,
    ]


def test_noise_belongs_to_the_image():
    like = torch.empty(3, 5)
    noise = ImageNoise(7, [4, 0, 9])
    first, second = noise.uniform(like), noise.uniform(like)
    alone = ImageNoise(7, [0])
    assert torch.equal(alone.uniform(like), first[1:2])
    assert torch.equal(alone.uniform(like), second[1:2])
    many = ImageNoise(7, range(2000)).uniform(torch.empty(2000, 1))
    assert len(many.unique()) == 2000
    others = np.concatenate([ImageNoise(seed, [0, 1]).uniform(like[:2]) for seed in (0, 1, 2**40)])
    assert len(np.unique(others)) == others.size


@pytest.mark.parametrize('mapping', ['Sampling', 'ArgMax', 'WeightedSum'])
def test_the_seed_alone_decides(mapping):
    model = tiny_generator(mapping=mapping)
    mask = random_mask(9)
    done = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        done.append(run(model, ADDPSampler(4), mask, random_ids())[-1])
    assert torch.equal(done[0].z_t, done[1].z_t)
    other = run(model, ADDPSampler(4), mask, random_ids(), seed=1)[-1]
    assert not torch.equal(done[0].z_t, other.z_t)


@pytest.mark.parametrize(
    ('setting', 'value'),
    [('steps', 0), ('schedule', 'sine'), ('temperature', -1.0), ('temperature', math.nan)]
    + [('top_p', value) for value in (0.0, 1.5, -0.1, math.nan)],
)
def test_settings_out_of_range(setting, value):
    with pytest.raises(UserError, match=f'{setting}='):
        ADDPSampler(**{setting: value})


def test_more_steps_than_tokens(model):
    with pytest.raises(UserError, match=r'steps=17: must be in \[1, 16\]'):
        run(model, ADDPSampler(17))
    with pytest.raises(UserError, match=r'must be in \[1, 3\]'):
        run(model, ADDPSampler(4), random_mask(3))


def test_rows_of_different_counts(model):
    mask = torch.cat([random_mask(3, batch=1), random_mask(4, batch=1)])
    with pytest.raises(ValueError, match='equally many positions'):
        run(model, ADDPSampler(1), mask)


def test_every_option_of_the_model_generates():
    for token_input in ('encoder+decoder', 'none'):
        last = run(tiny_generator(token_input=token_input), ADDPSampler(3))[-1]
        assert last.x_t.shape == (2, 3, 64, 64)
        assert last.x_t.isfinite().all()
