"""MAGE's decoding: how many tokens stay masked, and which."""

import math

import pytest
import torch
from tiny_scratch import mage_trainer

from mmaddp.apis import generate, inpaint
from mmaddp.diffusion import ImageNoise, MAGESampler
from mmaddp.registry import MODELS

# gen_img_uncond.py of the authors, lines 68 to 83, with its --num_iter 20: floor(256 cos), at
# least 1; all are known after the last step.
LEFT = [max(1, math.floor(256 * math.cos(math.pi / 2 * step / 20))) for step in range(1, 20)] + [0]


def run(sampler, num_masked, positions=256):
    def model(z, m):
        return torch.full((*z.shape, 8), 1 / 8)

    z = torch.full((2, positions), 7)
    m = torch.arange(positions).expand(2, -1) < num_masked
    return list(sampler(model, z, m, ImageNoise(0, range(2))))


def test_the_defaults_are_the_released_command():
    """README.md of the authors: --temp 6.0 --num_iter 20."""
    assert MAGESampler() == MAGESampler(steps=20, temperature=6.0)


def test_positions_left_masked_after_each_step():
    steps = run(MAGESampler(), 256)
    assert LEFT[:3] == [255, 252, 248]
    assert [step.m.sum(1).tolist() for step in steps] == [[n, n] for n in LEFT]


def test_each_step_reveals_one_until_one_is_left():
    steps = run(MAGESampler(6), 3)
    assert [step.m[0].sum().item() for step in steps] == [2, 1, 1, 1, 1, 0]
    assert (steps[-1].z[:, 3:] == 7).all()


def test_revealed_tokens_stay():
    steps = run(MAGESampler(), 256)
    for before, after in zip(steps, steps[1:]):
        assert not (after.m & ~before.m).any()
        assert torch.equal(after.z[~before.m], before.z[~before.m])


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    model = MODELS.build(mage_trainer())
    model.init_weights()
    return model.eval()


def test_mage_generates_and_completes_images(model):
    images, views = generate(model, 2, steps=4, record=True)
    assert images.shape == (2, 64, 64, 3)
    assert (images == views[:, -1, 0]).all()
    masks = [views[:, step, 1].reshape(2, 4, 16, 4, 16, 3) for step in range(4)]
    gray = [(mask == 128).all((2, 4, 5)).sum((1, 2)).tolist() for mask in masks]
    assert gray == [[14, 14], [11, 11], [6, 6], [0, 0]]
    half = torch.zeros(64, 64, dtype=torch.bool)
    half[32:] = True
    assert inpaint(model, images[0], half.numpy(), steps=2).shape == (1, 64, 64, 3)
