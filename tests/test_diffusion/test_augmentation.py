"""Each move does what its label tells, and happens as often as it is to."""

import math

import pytest
import torch

from mmaddp.diffusion import NonLeakingAugmentation
from mmaddp.diffusion.augmentation import Moves, labels, move

SIDE = 17


def images(count=1, side=SIDE):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def only(**values):
    """One image's moves, nothing but these."""
    zeros = {name: torch.zeros(1) for name in Moves._fields} | {'shift': torch.zeros(1, 2)}
    return Moves(**{**zeros, **{name: torch.tensor([value]) for name, value in values.items()}})


def ramp(axis):
    """An image that rises by 0.1 with each pixel along an axis, 0 in the middle."""
    line = 0.1 * (torch.arange(SIDE) - SIDE // 2).float()
    return (line if axis == 'x' else line[:, None]).expand(1, 3, SIDE, SIDE)


def inner(image, margin=4):
    return image[..., margin:-margin, margin:-margin]


def close(one, other):
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_nothing_is_done_without_a_label():
    assert not labels(only()).any()
    assert torch.equal(move(images(), only()), images())


@pytest.mark.parametrize(('name', 'side', 'position'), [('flip_x', 3, 0), ('flip_y', 2, 1)])
def test_flips_keep_pixels(name, side, position):
    flip = only(**{name: 1.0})
    assert torch.equal(move(images(), flip), images().flip(side))
    assert labels(flip)[0].nonzero().flatten().tolist() == [position]


@pytest.mark.parametrize('turns', [1, 2, 3])
def test_rotation_by_right_angles(turns):
    rotated = only(angle=turns * math.pi / 2)
    close(move(images(), rotated), images().rot90(turns, (2, 3)))
    expected = [math.cos(turns * math.pi / 2) - 1, math.sin(turns * math.pi / 2)]
    close(labels(rotated)[0, 3:5], torch.tensor(expected))


@pytest.mark.parametrize(('pixels', 'axis'), [(2, 0), (3, 1)])
def test_shift_by_whole_pixels(pixels, axis):
    """The content goes right and down; what comes in is what is next to the edge, reflected."""
    shift = [0.0, 0.0]
    shift[axis] = pixels / (0.125 * SIDE)
    moved = move(images(), only(shift=shift))
    side = 3 - axis
    close(moved.narrow(side, pixels, SIDE - pixels), images().narrow(side, 0, SIDE - pixels))
    close(moved.narrow(side, 0, pixels), images().narrow(side, 1, pixels).flip(side))


@pytest.mark.parametrize('axis', ['x', 'y'])
def test_scale_is_in_fifths_of_an_octave(axis):
    close(inner(move(ramp(axis), only(scale=5.0))), inner(ramp(axis) / 2))


def test_stretch_is_along_its_axis():
    along_x, along_y = only(stretch=5.0), only(stretch=5.0, axis=math.pi / 2)
    close(inner(move(ramp('x'), along_x)), inner(ramp('x') / 2))
    close(inner(move(ramp('x'), along_y), 5), inner(ramp('x') * 2, 5))
    close(inner(move(ramp('y'), along_y)), inner(ramp('y') / 2))
    close(labels(along_y)[0, 5:7], torch.tensor([0.0, 5.0]))


def test_sides_that_differ():
    wide = images()[..., :9, :]
    upside_down = move(wide, only(angle=math.pi))
    close(upside_down, wide.flip(2).flip(3))


def test_as_often_as_told():
    torch.manual_seed(0)
    given = labels(NonLeakingAugmentation(0.12).sample(50_000, 'cpu')) != 0
    expected = [0.5, 0.06, 0.12, 0.12, 0.12, 0.12, 0.06, 0.12, 0.12]
    close_enough = (given.float().mean(0) - torch.tensor(expected)).abs()
    assert close_enough.max() < 0.01


def test_probability_0_leaves_the_flip():
    torch.manual_seed(0)
    moved, told = NonLeakingAugmentation(0.0)(images(64))
    assert not told[:, 1:].any()
    flipped = told[:, 0].bool()
    assert flipped.any()
    assert not flipped.all()
    assert torch.equal(moved[flipped], images(64)[flipped].flip(3))
    assert torch.equal(moved[~flipped], images(64)[~flipped])


def test_moves_of_a_batch_are_those_of_each_image():
    torch.manual_seed(0)
    moves = NonLeakingAugmentation(1.0).sample(4, 'cpu')
    together = move(images(4), moves)
    for position in range(4):
        alone = move(images(4)[[position]], Moves(*(values[[position]] for values in moves)))
        close(alone, together[[position]])
    assert together.isfinite().all()


def test_mixed_precision_does_not_move_pixels():
    moves = only(angle=1.0, scale=1.0)
    with torch.autocast('cpu', torch.bfloat16):
        moved = move(images(), moves)
    assert torch.equal(moved, move(images(), moves))


@pytest.mark.parametrize('probability', [-0.1, 1.5])
def test_what_is_no_probability(probability):
    with pytest.raises(ValueError, match='must be in'):
        NonLeakingAugmentation(probability)
